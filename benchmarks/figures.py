"""Figures as they are printed: medians of rounds, ratios of the rounds' pairs, and their spread."""

from collections.abc import Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def spread(values: Sequence[float], *, digits: int = 0) -> str:
    """Median, lowest and highest."""
    return f"{median(values):,.{digits}f} (of {len(values)}: {min(values):,.{digits}f}–{max(values):,.{digits}f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The median of the ratios of neighbouring rounds, which noise of the machine touches least."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)], digits=2)
