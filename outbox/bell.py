"""The bell: one Celery task, carrying a destination's name. The only place where Celery is called.

A ring says "there may be work". Lost, doubled or years old, it does no harm: there is work or none. Not guaranteed:
that a ring arrives; whoever polls rings again. One row per destination counts the rings under way, so that no more are
sent than its queue has worker slots. A count that nothing moved for a second starts again. Where it is full, one ring
goes beyond it after a second, the next after two, and so on up to five: while nobody answers, rings gather slowly.
"""

from collections.abc import Iterable

import structlog
from celery import current_app
from django.db import connection

from . import low_water, routing

TASK = "outbox.deliver"
# A ring that nobody answered by then has been repeated. RabbitMQ drops it, by its own clock; from Redis it is answered
# late, which costs a look. Celery's `expires` would be told by the worker's clock, and one that is a minute ahead would
# discard every ring (F6).
RING_EXPIRES_SECONDS = 60

log = structlog.get_logger(__name__)

# Index outbox_open answers with its first due row; asked by EXISTS, a planner that thinks of many would read the table
# from its beginning, and find the delivered ones first. Sorted, so that two bells never deadlock.
DUE = """
INSERT INTO outbox_destination AS bell (name, slots, rings, rings_moved_at, pauses, pause_reason)
SELECT wanted.name, wanted.slots, 1, statement_timestamp(), 0, ''
FROM unnest(%s::text[], %s::int[], %s::bigint[]) AS wanted(name, slots, since)
WHERE (
    SELECT m.id FROM outbox_outboxmessage m
    WHERE m.destination = wanted.name AND m.state = 'open' AND m.id >= wanted.since
      AND m.due_at <= statement_timestamp()
    ORDER BY m.id LIMIT 1) IS NOT NULL
ORDER BY wanted.name
ON CONFLICT (name) DO UPDATE SET
    slots = excluded.slots,
    rings = CASE
        WHEN bell.rings < excluded.slots AND bell.rings_moved_at < statement_timestamp() - interval '1 second' THEN 1
        ELSE least(bell.rings + 1, excluded.slots + 5) END,
    rings_moved_at = statement_timestamp()
WHERE (bell.paused_until IS NULL OR bell.paused_until <= statement_timestamp())
  AND (bell.rings < excluded.slots
    OR bell.rings_moved_at
        < statement_timestamp() - least(1 + bell.rings - excluded.slots, 5) * interval '1 second')
RETURNING name
"""

# An answer to rings beyond the slots comes after a silence: what was under way before it is lost or about to be
# answered too, and counting it would keep the destination slow for good.
ANSWER = """
UPDATE outbox_destination
SET rings = CASE WHEN rings > slots THEN 0 ELSE greatest(rings - 1, 0) END, rings_moved_at = statement_timestamp()
WHERE name = %s
RETURNING paused_until IS NOT NULL AND paused_until > statement_timestamp()
"""


def ring(names: Iterable[str]) -> int:
    """Rings those of these destinations inside that have due messages and a worker slot; returns how many."""
    known = [routing.inside(name) for name in sorted(set(names)) if routing.is_inside(name)]
    if not known:
        return 0
    with connection.cursor() as cursor:
        # In a worker amid a backlog; the relay claims nothing inside, and looks everywhere.
        since = [low_water.mark(d.name) for d in known]
        cursor.execute(DUE, [[d.name for d in known], [d.slots for d in known], since])
        due = [row[0] for row in cursor.fetchall()]
    return sum(_send(routing.inside(name)) for name in due) if due else 0


def ring_all() -> int:
    """Rings every destination inside that has due messages."""
    return ring(destination.name for destination in routing.all_inside())


def answered(name: str) -> bool:
    """A worker answers: one ring less is under way. False while the destination is paused (its breaker is open)."""
    with connection.cursor() as cursor:
        cursor.execute(ANSWER, [name])
        row = cursor.fetchone()
    return not (row and row[0])


def _send(destination: routing.Inside) -> bool:
    """Hands one ring to the broker. A broker that does not take it costs a moment: the poll rings again."""
    try:
        current_app.send_task(
            TASK,
            args=[destination.name],
            queue=destination.queue,
            expiration=RING_EXPIRES_SECONDS,
            ignore_result=True,
            retry=False,
        )
    except Exception as error:
        # Kombu lets errors of every transport through; whichever it is, the message stays due.
        log.warning("outbox.ring_failed", destination=destination.name, error=str(error))
        return False
    return True
