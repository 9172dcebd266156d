"""Reading an answer as a stranger's bytes: bounded in size and time, strict JSON, nothing assumed.

Guarantees that what comes out is one JSON object without duplicate keys, floats that are not numbers or bad UTF-8.
Does not guarantee that its fields make sense: that is the gateway's to check. Nonsense is OutcomeUnknown: whoever
answers in a way that cannot be read may well have done what was asked.
"""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any, NoReturn

import requests

from providers.errors import OutcomeUnknown

CHUNK_BYTES = 65_536
# More digits than any length needs; Python refuses to read thousands of them.
LENGTH = re.compile(r"[0-9]{1,18}")
# The year 2100.
MOMENT_MAX_MS = 4_102_444_800_000
REASON = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def read_bounded(response: requests.Response, *, max_bytes: int, deadline: float) -> bytes:
    """The whole body, as it came over the wire; raises OutcomeUnknown past `max_bytes` or `deadline` (monotonic)."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise OutcomeUnknown("answer is compressed, which was not asked for")
    declared = response.headers.get("Content-Length", "0")
    if not LENGTH.fullmatch(declared) or int(declared) > max_bytes:
        raise OutcomeUnknown(f"answer of {declared[:20]} bytes declared, at most {max_bytes} accepted")
    body = bytearray()
    while chunk := _next_chunk(response, deadline=deadline):
        body += chunk
        if len(body) > max_bytes:
            raise OutcomeUnknown(f"answer larger than {max_bytes} bytes")
    return bytes(body)


def _next_chunk(response: requests.Response, *, deadline: float) -> bytes:
    """What one read from the socket brings. (A read of a fixed size would wait for all of it, past any deadline.)"""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise OutcomeUnknown("answer still incomplete at the total deadline")
    sock = getattr(response.raw.connection, "sock", None)
    if sock is not None:
        sock.settimeout(remaining)
    return response.raw.read1(CHUNK_BYTES, decode_content=False) or b""


def parse_object(body: bytes) -> dict[str, Any]:
    """The one JSON object in `body`; raises OutcomeUnknown for anything else."""
    try:
        parsed = json.loads(body.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise OutcomeUnknown(f"answer is not strict JSON: {type(error).__name__}") from error
    if not isinstance(parsed, dict):
        raise OutcomeUnknown("answer is not a JSON object")
    return parsed


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("duplicate key")
    return unique


def _no_constants(name: str) -> NoReturn:
    raise ValueError(name)


def integer(answer: dict[str, Any], name: str) -> int:
    """A whole number that is not a boolean; raises OutcomeUnknown otherwise."""
    value = answer.get(name)
    if type(value) is not int:
        raise OutcomeUnknown(f"{name} is not a whole number")
    return value


def moment(answer: dict[str, Any], name: str) -> datetime:
    """A point in time, as milliseconds since 1970 by the provider's clock; raises OutcomeUnknown otherwise."""
    milliseconds = integer(answer, name)
    if not 0 <= milliseconds < MOMENT_MAX_MS:
        raise OutcomeUnknown(f"{name} is not a point in time")
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def text(answer: dict[str, Any], name: str, *, max_length: int = 255) -> str:
    """A string of 1 to `max_length` printable characters; raises OutcomeUnknown otherwise."""
    value = answer.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= max_length or not value.isprintable():
        raise OutcomeUnknown(f"{name} is not a short printable string")
    return value


def lenient_text(answer: dict[str, Any], name: str) -> str:
    """Whatever short printable string stands there, "" for all else: for what is compared, and never relied upon."""
    value = answer.get(name)
    return value if isinstance(value, str) and len(value) <= 255 and value.isprintable() else ""


def reason(answer: dict[str, Any], name: str) -> str:
    """A provider's code for a refusal, safe to store and to show; raises OutcomeUnknown otherwise."""
    value = answer.get(name)
    if not isinstance(value, str) or not REASON.fullmatch(value):
        raise OutcomeUnknown(f"{name} is not a reason")
    return value


def objects(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of JSON objects; raises OutcomeUnknown otherwise."""
    value = answer.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise OutcomeUnknown(f"{name} is not a list of objects")
    return value
