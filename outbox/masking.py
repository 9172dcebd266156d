"""Masks what staff need not see in stored JSON: tokens that pay, keys that open.

Not guaranteed: a secret under a name that says nothing of it. Payloads are written by our own events, which carry none.
"""

from typing import Any

SECRET_WORDS = ("paymentmethod", "token", "secret", "password", "apikey", "authorization")
SHOWN_CHARACTERS = 4


def masked(data: Any) -> Any:
    """The same JSON, with secret values shortened."""
    if isinstance(data, dict):
        return {name: masked_text(value) if _is_secret(name) else masked(value) for name, value in data.items()}
    if isinstance(data, list):
        return [masked(value) for value in data]
    return data


def masked_text(value: Any) -> str:
    """Enough to tell what kind of token it is, not enough to use it."""
    text = str(value)
    return f"{text[:SHOWN_CHARACTERS]}…" if len(text) > SHOWN_CHARACTERS else "…"


def _is_secret(name: str) -> bool:
    plain = name.replace("_", "").replace("-", "").lower()
    return any(word in plain for word in SECRET_WORDS)
