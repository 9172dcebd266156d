"""What waits, what fails and who is alive, for the operators' live page: one query each, however large the tables are.

Guarantee: of each destination at most COUNTED_MAX unfinished messages and WALKED_MAX neighbours are read; a count that
reaches COUNTED_MAX means "at least". Not guaranteed: a whole list of errors; the newest dead and the oldest open
messages of each destination are looked at.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from . import routing

COUNTED_MAX = 10_000
# A message's neighbours by key are those of all destinations: a dozen for each order.
WALKED_MAX = 2_000
ERRORS_MAX = 500
FAILING_MAX = 2_000
WORDS = 8
# Words of an error that differ from message to message: ids, keys, addresses, times, long numbers.
VARYING = re.compile(r"\S*(?:[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{12}|[0-9]{4}|@)\S*", re.IGNORECASE)

# Every destination that this code knows, that was rung before, or that has an unfinished message: the last by one
# probe each of the indexes outbox_open and outbox_dead, so that messages of code that is gone are seen too.
NAMES = """
RECURSIVE with_open(name) AS (
    (SELECT destination::text FROM outbox_outboxmessage WHERE state = 'open' ORDER BY destination, id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.destination::text FROM outbox_outboxmessage m
            WHERE m.state = 'open' AND m.destination > with_open.name ORDER BY m.destination, m.id LIMIT 1)
    FROM with_open WHERE with_open.name IS NOT NULL
), with_dead(name) AS (
    (SELECT destination::text FROM outbox_outboxmessage WHERE state = 'dead' ORDER BY destination, key LIMIT 1)
    UNION ALL
    SELECT (SELECT m.destination::text FROM outbox_outboxmessage m
            WHERE m.state = 'dead' AND m.destination > with_dead.name ORDER BY m.destination, m.key LIMIT 1)
    FROM with_dead WHERE with_dead.name IS NOT NULL
), unfinished AS (
    SELECT name FROM with_open WHERE name IS NOT NULL UNION SELECT name FROM with_dead WHERE name IS NOT NULL
)
"""
# Indexes outbox_open and outbox_dead; the neighbours by the primary key. Claims take a destination's messages from the
# oldest, so what it finished lately stands just below the first one that is due: how many of those ended within the
# last minute is its pace, also when they waited for hours.
WAITING = f"""
WITH {NAMES}, names AS (
    SELECT unnest(%(known)s::text[]) AS name UNION SELECT name FROM outbox_destination UNION SELECT name FROM unfinished
)
SELECT names.name, waiting.*, dead.*, behind.*,
       d.paused_until > statement_timestamp() - interval '2 seconds', coalesce(d.pause_reason, '')
FROM names
LEFT JOIN outbox_destination d ON d.name = names.name
CROSS JOIN LATERAL (
    SELECT count(*), count(*) FILTER (WHERE due_at <= statement_timestamp()),
           count(*) FILTER (WHERE claimed_at IS NOT NULL AND due_at > statement_timestamp()),
           count(*) FILTER (WHERE attempts > 0 AND last_error > ''),
           coalesce(extract(epoch FROM statement_timestamp() - min(created_at) FILTER (
               WHERE scheduled_for IS NULL OR scheduled_for <= statement_timestamp())), 0),
           (min(key::text) FILTER (WHERE claimed_at IS NULL AND attempts = 0
                                     AND due_at <= statement_timestamp()))::uuid AS first_due
    FROM (SELECT m.key, m.due_at, m.claimed_at, m.attempts, m.last_error, m.created_at, m.scheduled_for
          FROM outbox_outboxmessage m WHERE m.destination = names.name AND m.state = 'open'
          ORDER BY m.id LIMIT %(most)s) oldest
) waiting
CROSS JOIN LATERAL (
    SELECT count(*) FROM (SELECT 1 FROM outbox_outboxmessage m
                          WHERE m.destination = names.name AND m.state = 'dead' ORDER BY m.key LIMIT %(most)s) buried
) dead
LEFT JOIN LATERAL (
    SELECT count(*), extract(epoch FROM statement_timestamp() - min(past.finished_at))
    FROM (SELECT m.destination, m.state, m.finished_at FROM outbox_outboxmessage m
          WHERE m.key < waiting.first_due ORDER BY m.key DESC LIMIT %(walked)s) past
    WHERE past.destination = names.name AND past.state = 'done'
      AND past.finished_at > statement_timestamp() - interval '1 minute'
) behind ON waiting.first_due IS NOT NULL
ORDER BY names.name
"""
# The same two indexes.
FAILURES = f"""
WITH {NAMES}
SELECT unfinished.name, failed.state, failed.last_error, count(*), min(failed.created_at), max(failed.created_at)
FROM unfinished CROSS JOIN LATERAL (
    (SELECT m.state, m.last_error, m.created_at FROM outbox_outboxmessage m
     WHERE m.destination = unfinished.name AND m.state = 'dead' ORDER BY m.key DESC LIMIT %(dead)s)
    UNION ALL
    (SELECT oldest.state, oldest.last_error, oldest.created_at
     FROM (SELECT m.* FROM outbox_outboxmessage m
           WHERE m.destination = unfinished.name AND m.state = 'open' ORDER BY m.id LIMIT %(open)s) oldest
     WHERE oldest.attempts > 0 AND oldest.last_error > '')
) failed
GROUP BY 1, 2, 3
"""
# One row per process of the last day.
HEARTBEATS = """
SELECT kind, process, extract(epoch FROM statement_timestamp() - seen_at) FROM outbox_heartbeat ORDER BY kind, seen_at
"""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One destination. `per_second` is None while nothing tells how fast it is."""

    destination: str
    open: int
    due: int
    running: int
    failing: int
    oldest_age_seconds: float
    dead: int
    per_second: float | None
    paused: str | None

    @property
    def is_idle(self) -> bool:
        return not self.open and not self.dead and self.paused is None

    @property
    def drain_seconds(self) -> float | None:
        """Until what is due is done, at the pace of the last minute and if nothing else came; None: unknown."""
        if not self.due:
            return 0.0
        return None if self.paused is not None or not self.per_second else self.due / self.per_second


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Messages of one destination whose errors begin with the same words; `is_dead`, or else tried again."""

    destination: str
    is_dead: bool
    error: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class Pulse:
    kind: str
    process: str
    age_seconds: float


def waiting() -> list[Waiting]:
    """Every destination, whether or not something waits there."""
    known = [*(one.name for one in routing.all_inside()), *(one.name for one in routing.all_outside())]
    rows = _fetch(WAITING, {"known": known, "most": COUNTED_MAX, "walked": WALKED_MAX})
    return [_waiting(*row) for row in rows]


def failures() -> list[Failure]:
    """What fails, by destination and the first words of its error; the dead first, then the most."""
    groups: dict[tuple[str, bool, str], Failure] = {}
    for destination, state, error, count, first, last in _fetch(FAILURES, {"dead": ERRORS_MAX, "open": FAILING_MAX}):
        key = (destination, state == "dead", first_words(error))
        known = groups.get(key)
        groups[key] = Failure(
            destination=destination,
            is_dead=key[1],
            error=key[2],
            count=count + (known.count if known else 0),
            first_at=min(first, known.first_at) if known else first,
            last_at=max(last, known.last_at) if known else last,
        )
    return sorted(groups.values(), key=lambda one: (not one.is_dead, -one.count, one.destination, one.error))


def heartbeats() -> list[Pulse]:
    """Every process that was seen within a day."""
    return [Pulse(kind=kind, process=name, age_seconds=float(age)) for kind, name, age in _fetch(HEARTBEATS, {})]


def without_ids(text: str) -> str:
    """The same text for a wall: what tells one message from another is left out."""
    return VARYING.sub("…", text)


def first_words(error: str) -> str:
    """What errors of one cause have in common: their first words, without what varies."""
    words = without_ids(error).split()
    return " ".join(words[:WORDS]) + (" …" if len(words) > WORDS else "") or "no error on record"


def _waiting(*row: Any) -> Waiting:
    name, count, due, running, failing, oldest, _, dead, finished, seconds, is_paused, reason = row
    return Waiting(
        destination=name,
        open=count,
        due=due,
        running=running,
        failing=failing,
        oldest_age_seconds=float(oldest),
        dead=dead,
        # A second at least: what ended in this very moment tells of no pace.
        per_second=finished / max(float(seconds), 1.0) if finished else None,
        paused=without_ids(reason) if is_paused else None,
    )


def _fetch(sql: str, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
