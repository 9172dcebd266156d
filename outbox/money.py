"""Money on the wire: integer minor units inside, decimal strings outside, the exponent by currency (ISO 4217).

Guarantee: an amount crosses the border exactly or not at all; floats, rounding and other scripts' digits are refused.
Not guaranteed: currencies beyond this table, and conversion between them, which never happens.
"""

import re

# Digits after the decimal point, for the currencies the catalogue may use.
EXPONENTS = {
    "AUD": 2,
    "BHD": 3,
    "CAD": 2,
    "CHF": 2,
    "CLP": 0,
    "CNY": 2,
    "CZK": 2,
    "DKK": 2,
    "EUR": 2,
    "GBP": 2,
    "HUF": 2,
    "INR": 2,
    "ISK": 0,
    "JPY": 0,
    "KRW": 0,
    "KWD": 3,
    "NOK": 2,
    "NZD": 2,
    "PLN": 2,
    "SEK": 2,
    "TND": 3,
    "USD": 2,
}

# ASCII digits only: `\d` would take other scripts' digits, and int() would take "1_0".
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]+))?", re.ASCII)


class MoneyError(ValueError):
    """Not an amount of money in this currency."""


def exponent(currency: str) -> int:
    """Digits after the decimal point. Raises MoneyError for a currency we do not know."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise MoneyError(f"{currency!r} is not a currency we know.") from None


def to_decimal_string(amount_minor: int, currency: str) -> str:
    """`2997` minor units of EUR are `"29.97"`; of JPY `"2997"`. Raises MoneyError."""
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int):
        raise MoneyError("Minor units are an integer.")
    digits = exponent(currency)
    if digits == 0:
        return str(amount_minor)
    sign = "-" if amount_minor < 0 else ""
    whole, fraction = divmod(abs(amount_minor), 10**digits)
    return f"{sign}{whole}.{fraction:0{digits}d}"


def to_minor_units(amount: str, currency: str) -> int:
    """`"29.97"` EUR are `2997`. Fewer digits than the currency has are fine, more are refused. Raises MoneyError."""
    digits = exponent(currency)
    if not isinstance(amount, str):
        raise MoneyError('An amount is a string with a decimal number, for example "9.99".')
    match = _DECIMAL.fullmatch(amount)
    if match is None:
        raise MoneyError('An amount is a decimal number without sign or exponent, for example "9.99".')
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > digits:
        raise MoneyError(f"{currency} has {digits} digits after the decimal point.")
    return int(whole) * 10**digits + int(fraction.ljust(digits, "0") or "0")
