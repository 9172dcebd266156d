"""Money crosses the border exactly or not at all (I9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.money import EXPONENTS, MoneyError, exponent, to_decimal_string, to_minor_units

currencies = st.sampled_from(sorted(EXPONENTS))


@given(st.integers(min_value=0, max_value=10**15 - 1), currencies)
def test_every_amount_survives_the_way_out_and_back(amount_minor: int, currency: str):
    assert to_minor_units(to_decimal_string(amount_minor, currency), currency) == amount_minor


@given(st.integers(min_value=0, max_value=10**12), currencies)
def test_an_amount_shows_exactly_the_digits_of_its_currency(amount_minor: int, currency: str):
    _, _, fraction = to_decimal_string(amount_minor, currency).partition(".")
    assert len(fraction) == exponent(currency)


@given(st.text(max_size=12), currencies)
def test_whatever_text_is_read_is_plain_ascii_digits(text: str, currency: str):
    try:
        amount_minor = to_minor_units(text, currency)
    except MoneyError:
        return
    assert set(text) <= set("0123456789.")
    assert to_minor_units(to_decimal_string(amount_minor, currency), currency) == amount_minor


@pytest.mark.parametrize(
    ("amount_minor", "currency", "expected"),
    [
        (2997, "EUR", "29.97"),
        (5, "EUR", "0.05"),
        (0, "USD", "0.00"),
        (2997, "JPY", "2997"),
        (2997, "KWD", "2.997"),
        (1, "BHD", "0.001"),
        (-2997, "EUR", "-29.97"),
    ],
)
def test_minor_units_become_a_decimal_string(amount_minor: int, currency: str, expected: str):
    assert to_decimal_string(amount_minor, currency) == expected


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [("9.99", "EUR", 999), ("9.9", "EUR", 990), ("9", "EUR", 900), ("9", "JPY", 9), ("1.234", "KWD", 1234)],
)
def test_a_decimal_string_becomes_minor_units(text: str, currency: str, expected: int):
    assert to_minor_units(text, currency) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "9.999",
        "-1.00",
        "+1.00",
        "1e3",
        "1_0",
        ".5",
        "5.",
        "09.99",
        "٣.٥",
        "９",
        "NaN",
        "9,99",
        " 9",
        "9\n",
        "1" * 30,
    ],
)
def test_what_is_not_a_plain_decimal_number_is_refused(text: str):
    with pytest.raises(MoneyError):
        to_minor_units(text, "EUR")


@pytest.mark.parametrize("amount", [9.99, 9, True, None, ["9"]])
def test_what_is_not_a_string_is_refused_on_the_way_in(amount: object):
    with pytest.raises(MoneyError):
        to_minor_units(amount, "EUR")  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("amount", [9.99, True, "9"])
def test_what_is_not_an_integer_is_refused_on_the_way_out(amount: object):
    with pytest.raises(MoneyError):
        to_decimal_string(amount, "EUR")  # type: ignore[arg-type]  # the point of the test


def test_a_currency_without_fraction_takes_none():
    with pytest.raises(MoneyError):
        to_minor_units("100.5", "JPY")


@pytest.mark.parametrize("currency", ["XXX", "eur", "", "EURO"])
def test_an_unknown_currency_is_refused(currency: str):
    with pytest.raises(MoneyError):
        to_minor_units("1", currency)
