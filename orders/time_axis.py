"""Where a moment stands on an axis of a hundred per cent: true to time, but for stretches in which nothing happens.

An order of three seconds whose mail waited for two days would be a line at the left edge. A stretch without an event
that is most of the time is drawn short, as a break that says how long it is; everything else is to scale.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from outbox.spoken import spoken

# Shares of all the time beyond which a stretch is broken, and what it is drawn as, in per cent.
IDLE_MAX, IDLE_WIDTH = 0.2, 8.0
BUSY_MAX, BUSY_WIDTH = 0.7, 45.0
TICK_DISTANCE_MIN: Final = 13.0
TICK_SECONDS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600,
    7_200, 14_400, 43_200, 86_400, 172_800, 604_800,
)  # fmt: skip

Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The time between two neighbouring events, and where it is drawn."""

    since: datetime
    until: datetime
    left: float
    width: float
    is_broken: bool

    @property
    def time(self) -> timedelta:
        return self.until - self.since

    @property
    def told(self) -> str:
        return spoken(self.time)


@dataclass(frozen=True, kw_only=True)
class Tick:
    left: float
    label: str


class Axis:
    """Built from every event; `busy` are the spans of work that has ended, which are not idle however long."""

    def __init__(self, events: Iterable[datetime], busy: Collection[Span]) -> None:
        points = sorted(set(events))
        if len(points) == 1:
            points.append(points[0] + timedelta(milliseconds=1))
        self.stretches = _stretches(list(pairwise(points)), busy)
        self._begins = [stretch.since for stretch in self.stretches]

    def place(self, moment: datetime) -> float:
        """From 0 to 100; what is outside stands at the edge."""
        stretch = self.stretches[max(bisect_right(self._begins, moment) - 1, 0)]
        share = (moment - stretch.since) / stretch.time
        return stretch.left + stretch.width * min(max(share, 0.0), 1.0)

    @property
    def breaks(self) -> list[Stretch]:
        return [stretch for stretch in self.stretches if stretch.is_broken]

    @property
    def ticks(self) -> list[Tick]:
        """Round times since the beginning, where there is room; none inside a break, whose length is written there."""
        found: list[Tick] = []
        for run in _runs(self.stretches):
            found += [tick for tick in self._ticks_of(run) if not found or _has_room(found[-1], tick)]
        return found

    def _ticks_of(self, run: Sequence[Stretch]) -> Iterable[Tick]:
        beginning, since, until = self._begins[0], run[0].since, run[-1].until
        seconds, width = (until - since).total_seconds(), sum(stretch.width for stretch in run)
        step = next((one for one in TICK_SECONDS if one / seconds * width >= TICK_DISTANCE_MIN), None)
        if step is None:
            return
        number = -int(-((since - beginning).total_seconds()) // step)
        while (moment := beginning + timedelta(seconds=number * step)) <= until:
            if moment >= since:
                yield Tick(left=self.place(moment), label=f"+{spoken(moment - beginning)}" if number else "0")
            number += 1


def _stretches(spans: Sequence[Span], busy: Collection[Span]) -> list[Stretch]:
    whole = (spans[-1][1] - spans[0][0]).total_seconds()
    broken = [_broken_width(span, whole=whole, busy=busy) for span in spans]
    if all(width is not None for width in broken):
        broken = [None] * len(spans)  # nothing else is there to be seen
    left_over = 100.0 - sum(width or 0.0 for width in broken)
    to_scale = sum(_seconds(span) for span, width in zip(spans, broken, strict=True) if width is None)
    stretches, left = [], 0.0
    for span, fixed in zip(spans, broken, strict=True):
        width = _seconds(span) / to_scale * left_over if fixed is None else fixed
        stretches.append(Stretch(since=span[0], until=span[1], left=left, width=width, is_broken=fixed is not None))
        left += width
    return stretches


def _broken_width(span: Span, *, whole: float, busy: Collection[Span]) -> float | None:
    """What a stretch that is too long is drawn as; None for one that is drawn to scale."""
    share = _seconds(span) / whole
    if any(since <= span[0] and span[1] <= until for since, until in busy):
        return BUSY_WIDTH if share > BUSY_MAX else None
    return IDLE_WIDTH if share > IDLE_MAX else None


def _runs(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Neighbours that are to scale, together: breaks part them."""
    runs: list[list[Stretch]] = [[]]
    for stretch in stretches:
        if stretch.is_broken:
            runs.append([])
        else:
            runs[-1].append(stretch)
    return [run for run in runs if run]


def _has_room(before: Tick, tick: Tick) -> bool:
    return tick.left - before.left >= TICK_DISTANCE_MIN


def _seconds(span: Span) -> float:
    return (span[1] - span[0]).total_seconds()
