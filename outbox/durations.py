"""Durations and moments as people write them on a command line."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}


def duration(text: str) -> timedelta:
    """A duration such as "90s", "15m", "12h" or "7d"."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text.strip(), re.ASCII)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no duration: write a number and s, m, h or d, such as 7d.")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} is longer than any calendar.") from None


def as_text(age: timedelta) -> str:
    """The same, to be read: "7 d", in the largest unit that counts it whole."""
    seconds = age.total_seconds()
    for unit, size in _SECONDS.items():
        if seconds and seconds % size == 0:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def moment(text: str) -> datetime:
    """A moment ("2026-11-20T12:00Z"; UTC if it does not say), or an age counted back from now ("2h")."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is not None:
        return found.replace(tzinfo=UTC) if is_naive(found) else found
    try:
        return datetime.now(UTC) - duration(text)
    except (ArgumentTypeError, OverflowError):
        wanted = "an age such as 2h, or a time such as 2026-11-20T12:00Z"
        raise ArgumentTypeError(f"{text!r} is no time: write {wanted}.") from None
