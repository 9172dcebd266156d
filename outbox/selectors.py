"""Reads of the outbox for people and probes: what waits, what is stuck, how old."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from .models import OutboxMessage

# Index outbox_open and outbox_dead: only unfinished rows are read.
STATUS = """
SELECT m.destination,
       count(*) FILTER (WHERE m.state = 'open') AS open,
       count(*) FILTER (WHERE m.state = 'open' AND m.due_at <= statement_timestamp()) AS due,
       count(*) FILTER (WHERE m.state = 'open' AND m.claimed_at IS NOT NULL AND m.due_at > statement_timestamp()),
       count(*) FILTER (WHERE m.state = 'dead') AS dead,
       coalesce(extract(epoch FROM statement_timestamp() - min(m.created_at) FILTER (
           WHERE m.state = 'open' AND (m.scheduled_for IS NULL OR m.scheduled_for <= statement_timestamp()))), 0),
       max(d.pause_reason) FILTER (WHERE d.paused_until > statement_timestamp())
FROM outbox_outboxmessage m LEFT JOIN outbox_destination d ON d.name = m.destination
WHERE m.state IN ('open', 'dead')
GROUP BY m.destination ORDER BY m.destination
"""


@dataclass(frozen=True, kw_only=True)
class DestinationStatus:
    destination: str
    open: int
    due: int
    running: int
    dead: int
    oldest_age_seconds: float
    paused: str | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def status() -> list[DestinationStatus]:
    """Unfinished messages by destination; scheduled ones do not age before their time."""
    with connection.cursor() as cursor:
        cursor.execute(STATUS)
        return [
            DestinationStatus(
                destination=row[0],
                open=row[1],
                due=row[2],
                running=row[3],
                dead=row[4],
                oldest_age_seconds=float(row[5]),
                paused=row[6],
            )
            for row in cursor.fetchall()
        ]


def stuck(messages: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
    """Those that need a look: dead, or open and failed at least once."""
    return messages.filter(Q(state="dead") | Q(state="open", attempts__gt=0, last_error__gt=""))


def due(messages: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
    return messages.filter(state="open", due_at__lte=Now())


def open_message_ids(message_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these messages that are open."""
    rows = OutboxMessage.objects.filter(message_id__in=message_ids, state=OutboxMessage.State.OPEN)
    return set(rows.values_list("message_id", flat=True))
