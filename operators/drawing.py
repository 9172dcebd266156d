"""The chart of orders as rectangles: placed upwards, ended downwards, a column per minute.

Guarantee: whole numbers in a box of WIDTH × HEIGHT that the page stretches to its own width; text stays outside of it,
so that it is readable on a phone. Not guaranteed: proportion across charts; each is as high as its highest minute.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from orders.live import MINUTES, Minute, Pace

COLUMN = 10
GAP = 2
WIDTH = COLUMN * MINUTES
HALF = 100
HEIGHT = 2 * HALF
# From the axis downwards.
ENDS = ("confirmed", "rejected", "cancelled")
TIMES = 6


@dataclass(frozen=True, kw_only=True)
class Bar:
    kind: str
    x: int
    y: int
    height: int
    width: int = COLUMN - GAP


@dataclass(frozen=True, kw_only=True)
class Column:
    """One minute: its bars, and what it says to who points at it."""

    x: int
    bars: tuple[Bar, ...]
    title: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    columns: tuple[Column, ...]
    peak: int
    times: tuple[str, ...]
    sentence: str


def chart(pace: Pace) -> Chart:
    """The minutes at the right; a time beneath every tenth of them."""
    peak = max(1, *(max(minute.placed, minute.ended) for minute in pace.minutes))
    first = MINUTES - len(pace.minutes)
    columns = tuple(
        Column(x=x, bars=tuple(_bars(minute, x, peak)), title=_title(minute))
        for x, minute in zip(range(first * COLUMN, WIDTH, COLUMN), pace.minutes, strict=True)
    )
    return Chart(columns=columns, peak=peak, times=_times(pace), sentence=_sentence(pace))


def _bars(minute: Minute, x: int, peak: int) -> Iterator[Bar]:
    placed = _height(minute.placed, peak)
    if placed:
        yield Bar(kind="placed", x=x, y=HALF - placed, height=placed)
    y = HALF
    for kind in ENDS:
        if height := _height(getattr(minute, kind), peak):
            yield Bar(kind=kind, x=x, y=y, height=height)
            y += height


def _height(number: int, peak: int) -> int:
    """What happened at all is seen."""
    return max(2, round((HALF - 2) * number / peak)) if number else 0


def _title(minute: Minute) -> str:
    ends = ", ".join(f"{getattr(minute, kind)} {kind}" for kind in ENDS)
    return f"{minute.began_at:%H:%M}: {minute.placed} placed; {ends}"


def _times(pace: Pace) -> tuple[str, ...]:
    """As many as stand evenly beneath the chart, the last at its right end."""
    last, apart = pace.minutes[-1].began_at, timedelta(minutes=MINUTES // TIMES)
    return tuple(f"{last - apart * number:%H:%M}" for number in range(TIMES, -1, -1))


def _sentence(pace: Pace) -> str:
    ends = ", ".join(f"{pace.total(kind):,} {kind}" for kind in ENDS)
    return f"In the last {len(pace.minutes)} minutes {pace.total('placed'):,} orders were placed; {ends}."
