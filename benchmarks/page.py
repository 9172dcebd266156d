"""What README.md and two pages of docs show of the kept results, between their marks; a test compares them.

python -m benchmarks.page
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers, sizing
from benchmarks.report import RESULTS, figure
from local.folder import PROJECT_DIR

DOCS = PROJECT_DIR / "docs"
PAGES = ("README.md", "docs/performance.md", "docs/scaling.md")
HEAD = """| target | what | ours | theirs | ratio (lowest–highest) | must be | met | limit |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
TITLES = {
    "round_trips": "round trips",
    "wal_kb": "WAL, kB",
    "page_images_kb": "of it page images, kB",
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "p99_ms": "p99, ms",
    "max_ms": "longest, ms",
    "cpu_ms": "processor, ms an order",
    "orders_per_core_second": "orders a second on one core",
    "orders_per_second": "orders/s",
    "disk_kb": "disk, kB an order",
}
PICTURES = {
    "saga-by-batch.svg": "Sagas per second against batch size",
    "relay-by-batch.svg": "Messages per second to RabbitMQ against batch size",
    "claim-by-size.svg": "Milliseconds of a claim against the number of delivered rows in the table",
}
NOTHING = "\nNot measured yet.\n"


def write() -> None:
    """Draws the plots anew, and puts what was measured between the page's marks."""
    subprocess.run([peers.python(), str(Path(__file__).with_name("plots.py"))], check=True)
    for name in PAGES:
        page = PROJECT_DIR / name
        page.write_text(render(page.read_text(encoding="utf-8")), encoding="utf-8")


def render(text: str) -> str:
    """A page with every part that is written by the benchmarks written anew."""
    for name, part in PARTS.items():
        begin, end = f"<!-- {name}: written by `make bench` -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        if found:
            text = f"{before}{begin}\n{part()}\n{end}{rest.partition(end)[2]}"
    return text


def table() -> str:
    """All kept results as Markdown: a row per criterion, then what they were measured with."""
    kept = [kept for path in sorted(RESULTS.glob("p*.json")) if (kept := _kept(path.stem))]
    if not kept:
        return NOTHING
    rows = [row for result in kept for row in _rows(result)]
    measured = [_measured(result) for result in kept]
    return "\n".join(["", HEAD, *rows, "", *measured, ""])


def fast() -> str:
    """Three figures for who reads no table: sagas, intake, events."""
    sagas, intake, events = (_kept(target) for target in ("p1", "p5", "p3"))
    if not (sagas and intake and events):
        return NOTHING
    dbos, chain = sagas["criteria"][:2]
    bare, relay = intake["criteria"][0], events["criteria"][0]
    return f"""
- sagas of four local steps: **{figure(dbos["ratio"])} ×** DBOS 3.4, **{figure(chain["ratio"])} ×** a bare Celery chain,
  which loses what it was doing when its worker dies;
- `POST /orders` with its key, its event and its answer in one commit: **{figure(bare["ratio"])}** of the rate of a bare
  REST framework view that saves the same order;
- events to RabbitMQ, confirmed and in order: **{figure(relay["ratio"])} ×** django-outbox-pattern, which does neither.
"""


def counts() -> str:
    """What an order asks of Postgres: by stage, and by statement."""
    kept = _kept("p9")
    return "\n".join(_markdown(rows) for rows in kept["tables"].values()) if kept else NOTHING


def latency() -> str:
    """Where the time of one order goes."""
    kept = _kept("latency")
    return f"{_markdown(kept['tables']['by_stage'])}\n{_measured(kept)}\n" if kept else NOTHING


def capacity() -> str:
    """What an order asks of each process, and of the disk."""
    kept = _kept("capacity")
    if not kept:
        return NOTHING
    tables = [_markdown(kept["tables"][name]) for name in ("whole", "by_process", "disk")]
    return "\n".join([*tables, _measured(kept), ""])


def sized() -> str:
    """What some rates need, by the figures above."""
    kept = _kept("capacity")
    return _markdown(sizing.table(kept["tables"])) if kept else NOTHING


def pictures() -> str:
    """The plots that were drawn."""
    drawn = {name: text for name, text in PICTURES.items() if (DOCS / "images" / name).exists()}
    return "\n".join(f"\n![{text}](images/{name})" for name, text in drawn.items()) + "\n" if drawn else NOTHING


def _kept(target: str) -> dict[str, Any] | None:
    path = RESULTS / f"{target}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one shape as a table; figures to the right."""
    first, *others = rows[0]
    head = [first, *(TITLES.get(other, other) for other in others)]
    lines = [head, ["---", *("---:" for _ in others)], *([str(row[name]) for name in rows[0]] for row in rows)]
    return "\n".join(["", *(f"| {' | '.join(cells)} |" for cells in lines), ""])


def _rows(result: dict[str, Any]) -> Iterator[str]:
    for one in result["criteria"]:
        theirs = f"{figure(one['theirs'])} ({one['peer']})" if one["theirs"] is not None else ""
        bound = f"≥ {one['at_least']:g}" if one["at_least"] is not None else f"≤ {one['at_most']:g}"
        limit = f"{figure(one['limit']['figure'])} ({one['limit']['what']})" if one["limit"] else ""
        ratio = f"**{figure(one['ratio'])}** ({figure(one['lowest'])}–{figure(one['highest'])})"
        cells = [
            result["target"].upper(),
            one["name"],
            f"{figure(one['ours'])} {one['unit']}",
            theirs,
            ratio,
            bound,
            "yes" if one["met"] else "**no**",
            limit,
        ]
        yield f"| {' | '.join(cells)} |"


def _measured(result: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"- {result['target'].upper()}: {result['measured_at'][:10]}, {result['machine']}; {versions}."


PARTS = {
    "fast": fast,
    "results": table,
    "counts": counts,
    "latency": latency,
    "pictures": pictures,
    "capacity": capacity,
    "sizing": sized,
}

if __name__ == "__main__":
    write()
