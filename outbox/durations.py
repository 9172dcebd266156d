"""Durations as people write them on a command line, and as they read them."""

import re
from argparse import ArgumentTypeError
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPOKEN = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def duration(text: str) -> timedelta:
    """A duration such as "90s", "15m", "12h" or "7d"."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no duration: write a number and s, m, h or d, such as 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def spoken(time: timedelta) -> str:
    """Two units are enough for whoever waits: "140 ms", "2.4 s", "5 min 10 s", "3 d 4 h"."""
    seconds = max(time.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    parts: list[str] = []
    left = round(seconds)
    for unit, size in _SPOKEN:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)
