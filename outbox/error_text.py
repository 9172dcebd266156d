"""Errors as text: one line that Postgres takes, and what many of them have in common.

Guarantee: two errors that differ only in ids, numbers, quoted values, addresses or times have one fingerprint, in every
process and version of Python. Not guaranteed: that one fingerprint is one cause; `KeyError: 'a'` and `KeyError: 'b'`
have the same. Changing a rule below begins new groups beside the old ones; nothing else depends on it.
"""

import hashlib
import re

from .masking import in_prose

LAST_ERROR_MAX_CHARACTERS = 1_000
FINGERPRINT_CHARACTERS = 12
# What tells two causes apart stands at the beginning; behind it are the details, and where the text was cut.
PATTERN_MAX_CHARACTERS = 300

# In this order: what is inside an address or a time must not be taken for a number first.
RULES = [
    (re.compile(pattern, re.IGNORECASE), mark)
    for pattern, mark in (
        (r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", "<address>"),
        # E-mail addresses and credentials are masked by now.
        (r"\*{3}", "<address>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?)?", "<time>"),
        (r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b", "<time>"),
        (r"(?<!\w)'[^']*'(?!\w)|(?<!\w)\"[^\"]*\"(?!\w)|`[^`]*`|“[^”]*”|‘[^’]*’|«[^»]*»", "<value>"),
        (r"\b0x[0-9a-f]+\b", "<address>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<address>"),
        (r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])", "<address>"),
        (r"\b[\w-]+\.[\w.-]+:\d+\b|\blocalhost:\d+\b", "<address>"),
        (r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", "<id>"),
        # A provider's id, a digest: a long word with digits in it. Names with a version (v1, utf8) are short.
        (r"\b(?=\w*\d)(?=\w*[a-z_])\w{8,}\b", "<id>"),
        (r"(?<![\w.])[+-]?\d+(?:[.,]\d+)*(?=(?:ms|s|m|h|d|kb|mb|gb|%)?\b|%)", "<number>"),
    )
]
# However many ids an error lists, it is the same error.
REPEATED = re.compile(r"(<\w+>)(?:(?:\s*[,;:/]\s*|\s+and\s+|\s+)\1)+")


def one_line(error: str) -> str:
    """An error as it is stored and shown to staff: short, without line breaks and what Postgres refuses (NUL, half a
    surrogate pair), and without the addresses and credentials that providers like to repeat."""
    storable = error.encode(errors="replace").decode().replace("\x00", " ")
    return in_prose(" ".join(storable.split()))[:LAST_ERROR_MAX_CHARACTERS]


def pattern_of(error: str) -> str:
    """What is left of an error without its details: "no such order: <id>"."""
    text = one_line(error)
    if len(text) == LAST_ERROR_MAX_CHARACTERS:
        text = text.rpartition(" ")[0] or text  # half an id is not told from a word
    for rule, mark in RULES:
        text = rule.sub(mark, text)
    return REPEATED.sub(r"\1", text)[:PATTERN_MAX_CHARACTERS]


def fingerprint_of(error: str) -> str:
    """The name of an error's group: the same for all errors of one pattern."""
    return hashlib.sha256(pattern_of(error).encode()).hexdigest()[:FINGERPRINT_CHARACTERS]
