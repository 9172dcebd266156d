"""Durations as people write them on a command line."""

import re
from argparse import ArgumentTypeError
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """A duration such as "90s", "15m", "12h" or "7d"."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no duration: write a number and s, m, h or d, such as 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
