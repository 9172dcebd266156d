"""Numbers as people read them across a room: durations in one unit, counts with a limit that says "at least"."""

COUNTED_MAX = 10_000
# Below the second number of seconds, in this unit of so many seconds each.
UNITS = ((120.0, 1.0, "s"), (7_200.0, 60.0, "min"), (172_800.0, 3_600.0, "h"), (float("inf"), 86_400.0, "d"))


def duration(seconds: float | None) -> str:
    """ "340 ms", "4.2 s", "34 s", "12 min", "5 h", "3 d"; "unknown" for None."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return next(f"{seconds / size:.0f} {unit}" for below, size, unit in UNITS if seconds < below)


def count(number: int | None) -> str:
    """ "1,204"; "10,000+" where no more were counted; "none yet" for None."""
    if number is None:
        return "none yet"
    return f"{number:,}+" if number >= COUNTED_MAX else f"{number:,}"


def many(number: int, one: str, more: str = "") -> str:
    """ "1 order", "2 orders"."""
    return f"{count(number)} {one if number == 1 else more or f'{one}s'}"
