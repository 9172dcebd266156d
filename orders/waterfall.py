"""A timeline as a waterfall: lanes of lines, each with its bars and marks in per cent of one axis, for a template.

Geometry and words only: what is linked and who may see it is the page's business (`timeline_page.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from outbox.spoken import spoken

from .time_axis import Axis, Stretch, Tick
from .timeline import WORK, Gap, Timeline
from .timeline_entries import Entry, Kind

# Narrower than this, a bar cannot be seen.
BAR_WIDTH_MIN: Final = 0.6
# What shows that work was under way, so that the time is drawn to scale.
BUSY: Final = WORK | {Kind.MESSAGE, Kind.NOTIFICATION}

LANES: Final = (
    ("Order", (Kind.ORDER, Kind.KEY)),
    ("Steps", (Kind.STEP, Kind.COMPENSATION)),
    ("At the providers", (Kind.PAYMENT, Kind.REFUND, Kind.SHIPMENT, Kind.CANCELLATION)),
    ("Stock", (Kind.RESERVATION,)),
    ("E-mails", (Kind.NOTIFICATION,)),
    ("Operators", (Kind.OPERATOR_ACT,)),
    ("Differences with the providers' books", (Kind.DIFFERENCE,)),
    ("Messages", (Kind.MESSAGE,)),
)

TONES: Final = {
    "done": "done", "captured": "done", "created": "done", "committed": "done", "sent": "done", "confirmed": "done",
    "repaired": "done", "vanished": "done", "resolved": "done",
    "refunded": "undone", "released": "undone", "cancelled": "undone",
    "failed": "failed", "refused": "failed", "declined": "failed", "given_up": "failed", "rejected": "failed",
    "dead": "failed", "open": "failed", "late": "failed",
    "retrying": "waiting", "unknown": "waiting", "backing_off": "waiting", "parked": "waiting", "scheduled": "waiting",
    "pending": "running", "running": "running", "due": "running", "reserved": "running",
}  # fmt: skip
# Facts that are moments inside an entry, and what they are called on the chart.
MOMENTS: Final = {"last_call_at": "last call", "last_claim_at": "last delivery", "repair_asked_at": "repair asked for"}


@dataclass(frozen=True, kw_only=True)
class Box:
    """Per cent as text, so that no locale writes a comma."""

    left: str
    width: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One entry. `tried` is the part of its bar before its latest try; `goes_on`: it had not ended when it was read."""

    entry: Entry
    label: str
    tone: str
    status: str
    bar: Box
    tried: Box | None
    marks: Sequence[Box]
    took: str
    retries: str
    goes_on: bool

    @property
    def is_instant(self) -> bool:
        return self.entry.ended_at == self.entry.began_at


@dataclass(frozen=True, kw_only=True)
class Lane:
    title: str
    lines: Sequence[Line]


@dataclass(frozen=True, kw_only=True)
class Chart:
    lanes: Sequence[Lane]
    ticks: Sequence[tuple[str, str]]
    gaps: Sequence[Box]
    breaks: Sequence[Box]


def draw(timeline: Timeline) -> Chart:
    """The chart of what this timeline holds."""
    axis = Axis(_events(timeline), [span for entry in timeline.entries if (span := _busy(entry))])
    lines = [_line(entry, timeline, axis) for entry in timeline.entries]
    return Chart(
        lanes=[
            Lane(title=title, lines=found)
            for title, kinds in LANES
            if (found := [line for line in lines if line.entry.kind in kinds])
        ],
        ticks=[_tick(tick) for tick in axis.ticks],
        gaps=[_gap(gap, axis) for gap in timeline.gaps],
        breaks=[_break(stretch) for stretch in axis.breaks],
    )


def tone_of(entry: Entry) -> str:
    """How it went: the colour, which never says more than the words beside it."""
    tone = TONES.get(entry.status, "plain")
    return "undone" if entry.kind is Kind.COMPENSATION and tone == "done" else tone


def label_of(entry: Entry) -> str:
    match entry.kind:
        case Kind.COMPENSATION:
            return f"↩ {entry.name}"
        case Kind.KEY:
            return f"key {entry.name}"
        case Kind.NOTIFICATION:
            return f"mail: {entry.name}"
        case Kind.MESSAGE:
            return f"{entry.name} → {entry.facts['destination']}"
        case Kind.DIFFERENCE:
            return entry.name.replace("_", " ")
        case _:
            return entry.name


def _events(timeline: Timeline) -> list[datetime]:
    moments = [timeline.order.placed_at]
    for entry in timeline.entries:
        moments += [entry.began_at, entry.ended_at or timeline.read_at]
        moments += [entry.facts[name] for name in MOMENTS if name in entry.facts]
    return moments


def _busy(entry: Entry) -> tuple[datetime, datetime] | None:
    return (entry.began_at, entry.ended_at) if entry.kind in BUSY and entry.ended_at else None


def _line(entry: Entry, timeline: Timeline, axis: Axis) -> Line:
    until = entry.ended_at or timeline.read_at
    times = entry.facts.get("claims") or entry.attempts
    marks = [
        _box(axis, moment, moment, title=f"{called} {_clock(moment)}")
        for name, called in MOMENTS.items()
        if (moment := entry.facts.get(name)) and moment > entry.began_at
    ]
    latest = entry.facts.get("last_call_at") or entry.facts.get("last_claim_at")
    return Line(
        entry=entry,
        label=label_of(entry),
        tone=tone_of(entry),
        status=entry.status.replace("_", " "),
        bar=_box(axis, entry.began_at, until, title=_title(entry, until)),
        tried=_box(axis, entry.began_at, latest, title=f"tried {times} times") if times > 1 and latest else None,
        marks=marks,
        took="" if until == entry.began_at else spoken(until - entry.began_at),
        retries=f"{times}×" if times > 1 else "",
        goes_on=entry.ended_at is None,
    )


def _title(entry: Entry, until: datetime) -> str:
    if entry.ended_at == entry.began_at:
        return f"{label_of(entry)}: {_clock(entry.began_at)}"
    end = _clock(until) if entry.ended_at else "now, and goes on"
    return f"{label_of(entry)}: {_clock(entry.began_at)} to {end}, {spoken(until - entry.began_at)}"


def _box(axis: Axis, since: datetime, until: datetime, *, title: str) -> Box:
    left = min(axis.place(since), 100.0 - BAR_WIDTH_MIN)
    return Box(left=_percent(left), width=_percent(max(axis.place(until) - left, BAR_WIDTH_MIN)), title=title)


def _gap(gap: Gap, axis: Axis) -> Box:
    what = f"before {gap.before}" if gap.before else "until now"
    time = spoken(gap.until - gap.since)
    return _box(axis, gap.since, gap.until, title=f"Nothing was under way for {time}, {what}")


def _break(stretch: Stretch) -> Box:
    return Box(left=_percent(stretch.left), width=_percent(stretch.width), title=stretch.told)


def _tick(tick: Tick) -> tuple[str, str]:
    return _percent(tick.left), tick.label


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} UTC"
