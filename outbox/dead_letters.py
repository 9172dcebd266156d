"""Reads of dead messages for people: what they died of, what a requeue would run, and what waits behind them.

Guarantee: a list of groups reads one index of dead messages alone, so it is quick with a hundred thousand of them;
lists are bounded. Not guaranteed: that what was counted still stands at the click; the verbs look again, under locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from . import routing, selectors
from .choice import COUNTED_MAX, Choice
from .error_text import fingerprint_of, pattern_of
from .models import OutboxMessage

GROUPS_MAX = 100
HEADS_MAX = 100
# Beyond so many dead heads their followers are not counted: a probe for each.
HEADS_LOOKED_AT = 10_000
FOLLOWERS_COUNTED_MAX = 1_000
# What code before the columns buried is marked this many at a time.
UNMARKED_BATCH = 5_000

CHOSEN = """state = 'dead'
      AND (%(error_fingerprint)s = '' OR error_fingerprint = %(error_fingerprint)s)
      AND (%(destination)s = '' OR destination = %(destination)s)
      AND (%(type)s = '' OR type = %(type)s)"""

# Index outbox_dead_by_error holds every column of the counts; the newest key of a group is its example. Keys are
# compared as text, which sorts alike: an example looked for by ORDER BY key LIMIT 1 took a walk of the primary key.
GROUPS = f"""
WITH counted AS (
    SELECT error_fingerprint, destination, count(*) AS n, count(*) FILTER (WHERE order_free) AS steps,
           min(died_at) AS first_seen, max(died_at) AS last_seen, max(key::text COLLATE "C") AS newest
    FROM outbox_outboxmessage WHERE {CHOSEN} GROUP BY error_fingerprint, destination
), groups AS (
    SELECT error_fingerprint, sum(n) AS n, sum(steps) AS steps, min(first_seen) AS first_seen,
           max(last_seen) AS last_seen, array_agg(destination ORDER BY n DESC, destination) AS destinations,
           count(*) OVER () AS groups_in_all, max(newest)::uuid AS newest
    FROM counted GROUP BY error_fingerprint ORDER BY sum(n) DESC, error_fingerprint LIMIT {GROUPS_MAX}
)
SELECT g.error_fingerprint, g.n, g.steps, g.first_seen, g.last_seen, g.destinations, g.groups_in_all,
       example.key, example.last_error
FROM groups g JOIN outbox_outboxmessage example ON example.key = g.newest
ORDER BY g.n DESC, g.error_fingerprint
"""

# Index outbox_dead_by_error or outbox_dead (or the primary key) gives the messages, the inbox's primary key answers for
# each: LIMIT keeps Postgres from reading the inbox as a whole instead.
PREVIEW = """
SELECT m.destination, count(*) AS n, count(*) FILTER (WHERE m.order_free) AS steps,
       count(*) FILTER (WHERE NOT m.order_free AND i.message_id IS NOT NULL) AS handled
FROM (SELECT destination, message_id, order_free FROM outbox_outboxmessage WHERE {which} LIMIT {most}) m
LEFT JOIN LATERAL (
    SELECT seen.message_id FROM outbox_inboxmessage seen
    WHERE seen.consumer = m.destination AND seen.message_id = m.message_id LIMIT 1) i ON true
GROUP BY m.destination ORDER BY m.destination
"""

# Indexes outbox_dead and outbox_open give the heads, outbox_unfinished_by_aggregate what stands behind each.
WAITING = f"""
WITH head AS MATERIALIZED (
    SELECT m.key, m.id, m.destination, m.type, m.aggregate_type, m.aggregate_id, m.state, m.last_error
    FROM outbox_outboxmessage m
    WHERE (m.state = 'dead' OR (m.state = 'open' AND m.attempts > 0 AND m.last_error > '')) AND NOT m.order_free
      AND (%(key)s::uuid IS NULL OR m.key = %(key)s)
    ORDER BY m.key LIMIT {HEADS_LOOKED_AT}
)
SELECT head.key, head.type, head.destination, head.aggregate_type, head.aggregate_id, head.state, head.last_error,
       behind.n
FROM head CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT FROM outbox_outboxmessage f
        WHERE f.destination = head.destination AND f.aggregate_id = head.aggregate_id AND f.id > head.id
          AND f.state = 'open' AND NOT f.order_free LIMIT {FOLLOWERS_COUNTED_MAX}) counted) behind
WHERE behind.n > 0 ORDER BY behind.n DESC, head.key LIMIT {HEADS_MAX}
"""

# The first unfinished one before it: index outbox_unfinished_by_aggregate.
AHEAD = """
SELECT e.key, e.type, e.destination, e.aggregate_type, e.aggregate_id, e.state, e.last_error, 1
FROM outbox_outboxmessage m JOIN outbox_outboxmessage e
  ON e.destination = m.destination AND e.aggregate_id = m.aggregate_id AND e.id < m.id
WHERE m.key = %s AND m.state = 'open' AND NOT m.order_free AND e.state IN ('open', 'dead') AND NOT e.order_free
ORDER BY e.id LIMIT 1
"""


MARK = """
UPDATE outbox_outboxmessage m SET error_fingerprint = marked.fingerprint, died_at = least(m.due_at, now())
FROM unnest(%s::uuid[], %s::text[]) AS marked(key, fingerprint)
WHERE m.key = marked.key AND m.state = 'dead' AND m.error_fingerprint = ''
"""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Dead messages that died of the same."""

    error_fingerprint: str
    count: int
    steps: int
    first_seen: datetime | None
    last_seen: datetime | None
    destinations: Sequence[str]
    example_key: UUID
    example_error: str

    @property
    def pattern(self) -> str:
        return pattern_of(self.example_error)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "pattern": self.pattern}


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The largest groups, and how many there are in all."""

    shown: Sequence[Group]
    in_all: int

    @property
    def messages(self) -> int:
        return sum(group.count for group in self.shown)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a requeue would run at one destination: of `count`, `steps` are left alone, `handled` are dropped (I5)."""

    destination: str
    count: int
    steps: int
    handled: int
    runs_at: str

    @property
    def requeued(self) -> int:
        return self.count - self.steps

    @property
    def runs(self) -> int:
        return self.requeued - self.handled

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "requeued": self.requeued, "runs": self.runs}


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A message that others of its aggregate wait behind."""

    key: UUID
    type: str
    destination: str
    aggregate_type: str
    aggregate_id: UUID
    state: str
    last_error: str
    behind: int

    @property
    def count(self) -> str:
        return f"{self.behind:,}" if self.behind < FOLLOWERS_COUNTED_MAX else f"{FOLLOWERS_COUNTED_MAX:,} or more"


def groups(choice: Choice) -> Groups:
    """Dead messages by what they died of, the largest group first, at most GROUPS_MAX."""
    rows = _rows(GROUPS, asdict(choice))
    shown = [
        Group(
            error_fingerprint=row[0],
            count=int(row[1]),
            steps=int(row[2]),
            first_seen=row[3],
            last_seen=row[4],
            destinations=row[5],
            example_key=row[7],
            example_error=row[8],
        )
        for row in rows
    ]
    return Groups(shown=shown, in_all=rows[0][6] if rows else 0)


def chosen(choice: Choice) -> QuerySet[OutboxMessage]:
    """The dead messages of a choice. Indexes outbox_dead_by_error, outbox_dead."""
    return OutboxMessage.objects.filter(state=OutboxMessage.State.DEAD, **choice.given())


def preview(choice: Choice) -> list[Effect]:
    """What a requeue of these would run, by destination; of more than COUNTED_MAX, that of some (`is_cut`)."""
    return _effects(_rows(PREVIEW.format(which=CHOSEN, most=COUNTED_MAX), asdict(choice)))


def is_cut(effects: Sequence[Effect]) -> bool:
    """Whether there may be more messages than these were counted from."""
    return sum(effect.count for effect in effects) >= COUNTED_MAX


def preview_of(keys: Sequence[UUID]) -> list[Effect]:
    """What a requeue of these messages, in whatever state, would run, by destination."""
    return _effects(_rows(PREVIEW.format(which="key = ANY(%s::uuid[])", most=len(keys)), [list(keys)]))


def pattern(fingerprint: str) -> str:
    """What the dead messages of this fingerprint died of; empty when there is none. Index outbox_dead_by_error."""
    errors = chosen(Choice(error_fingerprint=fingerprint)).order_by("-key").values_list("last_error", flat=True)
    return pattern_of(errors.first() or "") if fingerprint else ""


def runs_at(destination: str) -> str:
    """Who gets a destination's messages, in words."""
    if routing.is_inside(destination):
        return f"this service's consumer, on queue {routing.inside(destination).queue}"
    if destination in {outside.name for outside in routing.all_outside()}:
        return "a system outside: it gets the message, and knows a repeated one by its message id"
    return "no code here knows it: it waits for code that does"


def handled_by(message_id: UUID) -> list[str]:
    """The consumers that have this message in their inbox: given it again, they drop it (I5)."""
    return [row.consumer for row in selectors.inbox_page(message_id=message_id, limit=HEADS_MAX)]


def waiting(key: UUID | None = None) -> list[Waiting]:
    """Dead or failing messages that others wait behind, those with the most first; or that of one key."""
    return [_waiting(row) for row in _rows(WAITING, {"key": key})]


def ahead_of(key: UUID) -> Waiting | None:
    """The unfinished message that an open one waits behind."""
    return next((_waiting(row) for row in _rows(AHEAD, [key])), None)


def mark_unmarked() -> int:
    """Gives dead messages that older code buried their fingerprint, and about when they died; returns how many.

    A claim's `due_at` is its end, so it is at most a claim time after the death. Index outbox_dead_by_error.
    """
    unmarked = chosen(Choice()).filter(error_fingerprint="").order_by("key")
    errors = dict(unmarked.values_list("key", "last_error")[:UNMARKED_BATCH])
    with connection.cursor() as cursor:
        cursor.execute(MARK, [list(errors), [fingerprint_of(error) for error in errors.values()]])
        return cursor.rowcount


def _effects(rows: Sequence[tuple[Any, ...]]) -> list[Effect]:
    return [
        Effect(destination=name, count=count, steps=steps, handled=handled, runs_at=runs_at(name))
        for name, count, steps, handled in rows
    ]


def _waiting(row: tuple[Any, ...]) -> Waiting:
    names = ("key", "type", "destination", "aggregate_type", "aggregate_id", "state", "last_error", "behind")
    return Waiting(**dict(zip(names, row, strict=True)))


def _rows(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
