"""A criterion: what was measured on each side, what must be reached, and whether it was.

Guarantee: a ratio is the median of the ratios of neighbouring rounds, its spread their lowest and highest; "met" is
judged by that median and by nothing else. Not guaranteed: that a single round means anything on a shared machine.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The wall beside a figure: what the same hardware does with the least work possible, in the criterion's unit."""

    what: str
    figure: float


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One line of a target. `ours` and `theirs` are medians in `unit`; a count of our own has no peer."""

    name: str
    unit: str
    ours: float
    peer: str
    theirs: float | None
    # Of ours to theirs, or the count itself where there is no peer: median, lowest, highest.
    ratio: float
    lowest: float
    highest: float
    at_least: float | None
    at_most: float | None
    rounds: int
    limit: Limit | None

    @property
    def met(self) -> bool:
        enough = self.at_least is None or self.ratio >= self.at_least
        return enough and (self.at_most is None or self.ratio <= self.at_most)

    @property
    def must(self) -> str:
        sign, bound = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{sign} {bound:g}" if bound is not None else "–"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """What each round measured: `ours[n]` beside `theirs[n]`. A count that has a bound by itself has no peer."""

    unit: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    peer: str = ""

    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)] if self.peer else list(self.ours)


def judge(
    name: str,
    rounds: Rounds,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    limit: Limit | None = None,
) -> Criterion:
    """The criterion that these rounds make. Where there is no peer, the bound is the figure's own."""
    ratios = rounds.ratios()
    return Criterion(
        name=name,
        unit=rounds.unit,
        ours=median(rounds.ours),
        peer=rounds.peer,
        theirs=median(rounds.theirs) if rounds.peer else None,
        ratio=median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        at_least=at_least,
        at_most=at_most,
        rounds=len(ratios),
        limit=limit,
    )
