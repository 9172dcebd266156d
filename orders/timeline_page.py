"""The timeline's page in the admin: what it links, whom it shows which rows, and what it says first.

Guarantee: a row of a table that the person may not look at in the admin is not shown, and the page says how many are
not. Not guaranteed: that a linked row is still there; a purge may come between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.safestring import SafeString

from outbox.read_only_admin import page_link
from outbox.spoken import spoken

from .timeline import Timeline
from .timeline_entries import Entry, Kind
from .waterfall import Chart, Line, draw, label_of, tone_of

# Said by the bars, or by the columns beside them.
NOT_LISTED = frozenset({"last_call_at", "last_claim_at", "claims", "message_id", "destination"})


@dataclass(frozen=True, kw_only=True)
class Event:
    """An entry as a line of text, in order of time."""

    at: str
    since_placed: str
    kind: str
    tone: str
    status: str
    link: SafeString | str
    took: str
    said: str
    error: str


@dataclass(frozen=True, kw_only=True)
class LinkedLine:
    """A line of the chart, its label leading to its row."""

    line: Line
    link: SafeString | str


@dataclass(frozen=True, kw_only=True)
class LinkedLane:
    title: str
    lines: Sequence[LinkedLine]


@dataclass(frozen=True, kw_only=True)
class Page:
    timeline: Timeline
    chart: Chart
    lanes: Sequence[LinkedLane]
    events: Sequence[Event]
    headline: str
    hidden: int
    verbs_at: SafeString | str


def page_of(timeline: Timeline, user: AbstractBaseUser | AnonymousUser) -> Page:
    """The page for this person."""
    seen = [entry for entry in timeline.entries if _may_see(entry, user)]
    shown = replace(timeline, entries=seen)
    chart = draw(shown)
    return Page(
        timeline=shown,
        chart=chart,
        lanes=[
            LinkedLane(title=lane.title, lines=[LinkedLine(line=line, link=_link(line.entry)) for line in lane.lines])
            for lane in chart.lanes
        ],
        events=[_event(entry, shown) for entry in seen],
        headline=_headline(shown),
        hidden=len(timeline.entries) - len(seen),
        verbs_at=_verbs_at(timeline, user),
    )


def _may_see(entry: Entry, user: Any) -> bool:
    if entry.row is None:
        return True
    app, _, model = entry.row.table.partition("_")
    return bool(user.has_perm(f"{app}.view_{model}"))


def _link(entry: Entry) -> SafeString | str:
    return page_link(entry.row.table, entry.row.id, label_of(entry)) if entry.row else label_of(entry)


def _headline(timeline: Timeline) -> str:
    """How it stands, how long it took, and what did not go straight."""
    order, entries = timeline.order, timeline.entries
    until = order.ended_at or timeline.read_at
    reason = f" ({order.reason.replace('_', ' ')})" if order.reason else ""
    parts = [
        f"{order.status.capitalize()}{reason} {'after' if order.ended_at else 'for'} {spoken(until - order.placed_at)}",
        _counted(
            sum(entry.kind is Kind.STEP and entry.attempts > 1 for entry in entries), "step retried", "steps retried"
        ),
        "waits for a person" if timeline.waits_for_a_person else "",
        _counted(_of(Kind.COMPENSATION, entries), "compensation", "compensations"),
        _counted(_of(Kind.OPERATOR_ACT, entries), "operator act", "operator acts"),
        _counted(_of(Kind.DIFFERENCE, entries), "difference with a book", "differences with books"),
    ]
    if timeline.gaps:
        parts.append(f"waited {spoken(sum((gap.until - gap.since for gap in timeline.gaps), timedelta()))} in between")
    return ", ".join(part for part in parts if part) + "."


def _verbs_at(timeline: Timeline, user: Any) -> SafeString | str:
    """Where somebody can do something about an order that waits for it."""
    if not timeline.waits_for_a_person or not user.has_perm("sagas.view_saga"):
        return ""
    return page_link("sagas_saga", timeline.saga_id, "its saga's page")


def _of(kind: Kind, entries: Sequence[Entry]) -> int:
    return sum(entry.kind is kind for entry in entries)


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}" if count else ""


def _event(entry: Entry, timeline: Timeline) -> Event:
    until = entry.ended_at or timeline.read_at
    return Event(
        at=f"{entry.began_at:%H:%M:%S}.{entry.began_at.microsecond // 1000:03d}",
        since_placed=f"+{spoken(entry.began_at - timeline.order.placed_at)}",
        kind=entry.kind.replace("_", " "),
        tone=tone_of(entry),
        status=entry.status.replace("_", " "),
        link=_link(entry),
        took="" if until == entry.began_at else f"{spoken(until - entry.began_at)}{'' if entry.ended_at else '…'}",
        said=_said(entry),
        error=entry.error,
    )


def _said(entry: Entry) -> str:
    counted = [f"{entry.attempts} attempts"] if entry.attempts > 1 else []
    claims = entry.facts.get("claims", 0)
    if claims > 1:
        counted.append(f"{claims} deliveries")
    facts = [f"{name.replace('_', ' ')} {_fact(fact)}" for name, fact in entry.facts.items() if name not in NOT_LISTED]
    return ", ".join([*counted, *facts])


def _fact(fact: Any) -> str:
    return f"{fact:%Y-%m-%d %H:%M:%S} UTC" if hasattr(fact, "strftime") else str(fact)
