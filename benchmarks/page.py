"""The table of docs/performance.md, written from the kept results; a test compares the two.

python -m benchmarks.page
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.report import RESULTS, figure
from local.folder import PROJECT_DIR

PAGE = PROJECT_DIR / "docs" / "performance.md"
BEGIN, END = "<!-- results: written by `make bench` -->", "<!-- results: end -->"
HEAD = """| target | what | ours | theirs | ratio (lowest–highest) | must be | met | limit |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def write() -> None:
    """Puts the kept results between the page's two marks, and draws the plots anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
    subprocess.run([peers.python(), str(Path(__file__).with_name("plots.py"))], check=True)


def table() -> str:
    """All kept results as Markdown: a row per criterion, then what they were measured with."""
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("p*.json"))]
    rows = [row for result in kept for row in _rows(result)]
    measured = [_measured(result) for result in kept]
    return "\n".join(["", HEAD, *rows, "", *measured, ""])


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


if __name__ == "__main__":
    write()
