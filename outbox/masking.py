"""Masks what nobody need see: in stored JSON tokens that pay and keys that open, in prose (log lines, errors, spans)
e-mail addresses, credentials and passwords of URLs.

Not guaranteed: a secret under a name that says nothing of it. Payloads are written by our own events, which carry none.
"""

import re
from typing import Any

MASK = "***"
ELLIPSIS = "…"
_EMAIL = re.compile(r"\b[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", re.ASCII)
# Behind "token" and "basic" no word of a sentence ("token expired"): what is long, or has a digit in it.
_CREDENTIAL = re.compile(
    r"\b(Bearer|(?:Token|Basic)(?= +(?:[\w.~+/=-]*\d|[\w.~+/=-]{16}))) +[\w.~+/=-]{6,}", re.IGNORECASE | re.ASCII
)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,100}:)[^\s/@]{1,200}@", re.ASCII)
SECRET_WORDS = ("paymentmethod", "token", "secret", "password", "apikey", "authorization")
SHOWN_CHARACTERS = 4


def masked(data: Any) -> Any:
    """The same JSON, with secret values shortened."""
    if isinstance(data, dict):
        return {name: masked_text(value) if is_secret(name) else masked(value) for name, value in data.items()}
    if isinstance(data, list):
        return [masked(value) for value in data]
    return data


def masked_text(value: Any) -> str:
    """Enough to tell what kind of token it is, not enough to use it."""
    text = str(value)
    return f"{text[:SHOWN_CHARACTERS]}{ELLIPSIS}" if len(text) > SHOWN_CHARACTERS else ELLIPSIS


def in_prose(text: str) -> str:
    """The text without e-mail addresses, authorisation values and passwords of URLs."""
    if "@" in text:
        text = _EMAIL.sub(MASK, _URL_PASSWORD.sub(rf"\g<1>{MASK}@", text))
    # Every credential follows a space: most values of a line are single words.
    return _CREDENTIAL.sub(rf"\g<1> {MASK}", text) if " " in text else text


def is_mask(value: Any) -> bool:
    """Whether this is what stands in the place of a secret, and so no secret."""
    return isinstance(value, str) and (
        value == MASK or (value.endswith(ELLIPSIS) and len(value) <= SHOWN_CHARACTERS + len(ELLIPSIS))
    )


def is_secret(name: str) -> bool:
    """Whether a field of this name holds what opens or pays."""
    plain = name.replace("_", "").replace("-", "").lower()
    return any(word in plain for word in SECRET_WORDS)
