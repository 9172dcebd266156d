"""Reads the Idempotency-Key header, and takes the fingerprint of a body.

Source: draft-ietf-httpapi-idempotency-key-header-07 §2.1, a Structured Field string (RFC 9651 §4.2.5); bare values, as
Stripe's clients send them, are accepted too. `"abc"` and `abc` are one key.
"""

import hashlib
import json
import re
from typing import Any

from .exceptions import KeyInvalid
from .models import KEY_MAX_LENGTH

# Printable ASCII; inside quotes `"` and `\` are escaped, and nothing else is.
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x7e][\x20-\x7e]*")
_ESCAPE = re.compile(r"\\(.)")


def parse(header: str | None) -> str | None:
    """The key that a header carries; None without a header. Raises KeyInvalid."""
    if header is None:
        return None
    text = header.strip(" \t")
    if quoted := _QUOTED.fullmatch(text):
        key = _ESCAPE.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise KeyInvalid
    if not key.strip() or len(key) > KEY_MAX_LENGTH:
        raise KeyInvalid
    return key


def fingerprint(body: Any) -> bytes:
    """The same for bodies that differ only in white space or in the order of their keys."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(canonical.encode()).digest()
