"""The pictures of docs/performance.md: drawn from the kept results, by the peers' interpreter (matplotlib, no Django).

Guarantees that the same results give the same bytes, and that a series nobody has measured draws nothing.

python benchmarks/plots.py [RESULTS IMAGES]
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]  # lives in the peers' environment

mpl.use("svg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
RESULTS, IMAGES = HERE / "results", HERE.parent / "docs" / "images"
INK, QUIET, GRID, ACCENT = "#1f2328", "#59636e", "#d9dee3", "#0b62c4"
# Text as text would look different wherever the font is missing; ids and dates would change with every run.
STYLE = {
    "svg.hashsalt": "orders",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    # A page may be dark: the picture brings its own light.
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One line of points: which series of which result, and what its axes say."""

    file: str
    result: str
    series: str
    title: str
    x: str
    x_label: str
    y: str
    y_label: str


PLOTS = (
    Plot(
        file="saga-by-batch",
        result="p1",
        series="saga_by_batch",
        title="Four-step sagas: throughput by batch size",
        x="batch",
        x_label="batch size (messages per claim, at most)",
        y="per_second",
        y_label="sagas per second",
    ),
    Plot(
        file="relay-by-batch",
        result="p3",
        series="relay_by_batch",
        title="Relay to RabbitMQ: throughput by batch size",
        x="batch",
        x_label="batch size (messages per claim, at most)",
        y="per_second",
        y_label="messages per second",
    ),
    Plot(
        file="claim-by-size",
        result="p6",
        series="claim_by_size",
        title="One claim, by what the table holds",
        x="rows",
        x_label="delivered rows in the table",
        y="milliseconds",
        y_label="milliseconds per claim",
    ),
)


def draw_all(results: Path, images: Path) -> list[Path]:
    """Draws what has been measured; returns the files written."""
    mpl.rcParams.update(STYLE)
    images.mkdir(parents=True, exist_ok=True)
    return [draw(plot, points, images) for plot in PLOTS if (points := read(plot, results))]


def read(plot: Plot, results: Path) -> list[dict[str, float]]:
    """The points of a plot, from left to right; [] when nobody has measured them."""
    file = results / f"{plot.result}.json"
    if not file.exists():
        return []
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return sorted(kept["series"].get(plot.series, []), key=lambda point: point[plot.x])


def draw(plot: Plot, points: list[dict[str, float]], images: Path) -> Path:
    figure, axes = plt.subplots(figsize=(7.2, 3.9), layout="constrained")
    xs, ys = [point[plot.x] for point in points], [point[plot.y] for point in points]
    axes.plot(xs, ys, color=ACCENT, linewidth=2, marker="o", markersize=6, clip_on=False, zorder=3)
    for x, y in zip(xs, ys, strict=True):
        label = axes.annotate(number(y), (x, y), xytext=(0, 10), textcoords="offset points", ha="center", fontsize=10)
        # A steep line goes behind the figure, not through it.
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.0})
        label.set_zorder(4)
    axes.set_title(plot.title, loc="left", fontsize=12.5, fontweight="bold", pad=14)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    _scale(axes, xs, ys)
    path = images / f"{plot.file}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return path


def _scale(axes: Any, xs: Iterable[float], ys: Iterable[float]) -> None:
    """Powers of size side by side, what they cost from zero: no step looks larger than it is."""
    low, high = min(xs), max(xs)
    if low > 0 and high / low > 5:
        axes.set_xscale("log")
    elif high > 1000:
        axes.set_xscale("symlog", linthresh=max(min((x for x in xs if x > 0), default=1), 1))
    axes.minorticks_off()
    axes.set_xticks(list(xs), [number(x) for x in xs])
    axes.set_ylim(0, max(ys) * 1.18)
    axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.06)


def number(value: float) -> str:
    """Short, and no more exact than it is."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    results, images = (Path(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (RESULTS, IMAGES)
    for drawn in draw_all(results, images):
        print(f"drew {drawn}")
