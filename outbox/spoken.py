"""Spans of time as people say them. Not guaranteed: that they add up; each is rounded to its two largest units."""

from datetime import timedelta

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def spoken(time: timedelta) -> str:
    """Two units are enough for whoever waits: "140 ms", "2.4 s", "5 min 10 s", "3 d 4 h"."""
    seconds = max(time.total_seconds(), 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    parts: list[str] = []
    left = round(seconds)
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)
