"""The header's syntax (structured field or bare) and the fingerprint of a body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idempotency.exceptions import KeyInvalid
from idempotency.keys import fingerprint, parse

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)


def quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(printable.filter(lambda key: key.strip()))
def test_every_printable_key_survives_its_quotes(key: str):
    assert parse(quoted(key)) == key


@given(st.text(max_size=300))
def test_whatever_is_accepted_is_short_and_printable(header: str):
    try:
        key = parse(header)
    except KeyInvalid:
        return
    assert key is not None
    assert 1 <= len(key) <= 255
    assert key.isascii()
    assert key.isprintable()


def test_quoted_and_bare_are_the_same_key():
    assert parse('"8e03978e"') == parse("8e03978e") == parse("  8e03978e ") == "8e03978e"


def test_no_header_is_no_key():
    assert parse(None) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        '""',
        '" "',
        '"',
        '"abc',
        'abc"def"é',
        '"a"b"',
        '"a\\b"',
        "a" * 256,
        quoted("a" * 256),
        "é",
        "a\x00",
        "a\tb",
        '"a\n"',
    ],
)
def test_what_is_blank_too_long_or_not_printable_is_refused(header: str):
    with pytest.raises(KeyInvalid):
        parse(header)


def test_the_longest_key_is_taken():
    assert parse("a" * 255) == "a" * 255
    assert parse(quoted("a" * 255)) == "a" * 255


def test_the_order_of_names_does_not_change_a_fingerprint():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})


@pytest.mark.parametrize("other", [{"a": "1"}, {"a": 2}, {"a": 1, "b": None}, {"a": [1]}, [1], None, {"a": True}])
def test_another_value_changes_the_fingerprint(other: object):
    assert fingerprint({"a": 1}) != fingerprint(other)
