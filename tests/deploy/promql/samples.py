"""Samples over time: from scraped pages, or written down in promtool's notation (`0+10x5`, `_x3`)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]

# A series that told nothing for longer is no longer there.
LOOKBACK_SECONDS = 300
_SERIES = re.compile(r"(\w+)(?:\{(.*)\})?")
_LABEL = re.compile(r"(\w+)=\"([^\"]*)\"")
_VALUES = re.compile(r"(?P<start>-?[\d.]+|_)(?:(?P<step>[+-][\d.]+)?x(?P<times>\d+))?")


@dataclass
class Samples:
    """(moment, value) by series; None: it was gone at that moment."""

    series: dict[tuple[str, Labels], list[tuple[float, float | None]]] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, str], moment: float, value: float | None) -> None:
        self.series.setdefault((name, frozenset(labels.items())), []).append((moment, value))

    def scrape(self, page: str, *, moment: float, **target: str) -> None:
        """A page of /metrics as Prometheus takes it: with its target's labels, and `up`."""
        seen = {("up", frozenset(target.items()))}
        self.add("up", target, moment, 1)
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = {**sample.labels, **target}
                seen.add((sample.name, frozenset(labels.items())))
                self.add(sample.name, labels, moment, sample.value)
        for name, known in set(self.series) - seen:
            if set(target.items()) <= known:
                self.add(name, dict(known), moment, None)

    def write(self, series: str, values: str, *, every_seconds: float) -> None:
        """One series as promtool's tests write it."""
        named = _SERIES.fullmatch(series)
        if named is None:
            raise SyntaxError(f"no series: {series!r}")
        labels = dict(_LABEL.findall(named[2] or ""))
        for index, value in enumerate(_expand(values)):
            if value is not None:
                self.add(named[1], labels, index * every_seconds, value)

    def at(self, name: str, moment: float) -> Iterator[tuple[Labels, float]]:
        for labels, samples in self._of(name):
            known = [value for at, value in samples if moment - LOOKBACK_SECONDS < at <= moment]
            if known and known[-1] is not None:
                yield labels, known[-1]

    def within(self, name: str, moment: float, seconds: float) -> Iterator[tuple[Labels, list[tuple[float, float]]]]:
        for labels, samples in self._of(name):
            known = [(at, value) for at, value in samples if moment - seconds <= at <= moment and value is not None]
            if known:
                yield labels, known

    def _of(self, name: str) -> Iterator[tuple[Labels, list[tuple[float, float | None]]]]:
        for (known, labels), samples in self.series.items():
            if known == name:
                yield labels, samples


def _expand(values: str) -> Iterator[float | None]:
    """`1x3` is 1 and three more; `0+10x2` is 0 10 20; `_` is no sample; `_x3` is three times none."""
    for word in values.split():
        named = _VALUES.fullmatch(word)
        if named is None:
            raise SyntaxError(f"no values: {word!r}")
        times = int(named["times"] or 0)
        if named["start"] == "_":
            yield from [None] * max(times, 1)
            continue
        start, step = float(named["start"]), float(named["step"] or 0)
        yield from (start + step * index for index in range(times + 1))
