"""A target's report: printed for people, and kept as JSON in `benchmarks/results/` for the table and the plots."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.criterion import Criterion

RESULTS = Path(__file__).parent / "results"
OURS = ("django", "celery", "psycopg", "gunicorn")


@dataclass(kw_only=True)
class Report:
    """One target (P1 … P9). `series` holds the points of a plot by its name, `tables` rows worth keeping."""

    target: str
    title: str
    criteria: Sequence[Criterion]
    versions: dict[str, str] = field(default_factory=dict)
    series: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def met(self) -> bool:
        return all(criterion.met for criterion in self.criteria)

    def show(self) -> None:
        print(f"\n{self.target.upper()}  {self.title}")
        for one in self.criteria:
            theirs = f" against {figure(one.theirs)} ({one.peer})" if one.theirs is not None else ""
            spread = f"{figure(one.ratio)} (of {one.rounds}: {figure(one.lowest)}–{figure(one.highest)})"
            limit = f"; limit {figure(one.limit.figure)} ({one.limit.what})" if one.limit else ""
            print(f"  {'met   ' if one.met else 'MISSED'}  {one.name}: {spread}, must be {one.must}")
            print(f"          {figure(one.ours)}{theirs} {one.unit}{limit}")
        for name, rows in self.tables.items():
            print_table(name, rows)
        for note in self.notes:
            print(f"  {note}")

    def write(self) -> None:
        kept = {
            "target": self.target,
            "title": self.title,
            "met": self.met,
            "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
            "machine": f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB",
            "versions": {"python": platform.python_version()} | {name: version(name) for name in OURS} | self.versions,
            "criteria": [criterion.as_json() for criterion in self.criteria],
            "series": self.series,
            "tables": self.tables,
            "notes": list(self.notes),
        }
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
        (RESULTS / f"{self.target}.json").write_text(text, encoding="utf-8")


def print_table(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of one shape, the first column to the left."""
    if not rows:
        return
    first, *others = rows[0]
    wide = max(len(str(row[first])) for row in rows)
    print(f"  {name.replace('_', ' '):{wide}}  {'  '.join(f'{other:>14}' for other in others)}")
    for row in rows:
        print(f"  {row[first]!s:{wide}}  {'  '.join(f'{row[other]!s:>14}' for other in others)}")


def figure(value: float | None) -> str:
    """Three digits that mean something, thousands apart."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
