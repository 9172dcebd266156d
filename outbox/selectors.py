"""Reads of the outbox for people and probes: what waits, what is stuck, how old."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, TextChoices, Value, When
from django.db.models.functions import Now

from . import routing
from .models import Destination, InboxMessage, OperatorAct, OutboxMessage

# How far back a filter looks that no index serves.
UNINDEXED_ROWS_MAX = 100_000
# Of one aggregate's messages that are not shown.
LEFT_OUT_MAX = 10_000

# Indexes outbox_open and outbox_dead: only unfinished rows are read (IN would read them all). A pause ends for a look
# at its breaker and begins again at the next ring: what ended within two seconds is still called paused, so that the
# word does not flicker.
STATUS = """
SELECT m.destination,
       count(*) FILTER (WHERE m.state = 'open') AS open,
       count(*) FILTER (WHERE m.state = 'open' AND m.due_at <= statement_timestamp()) AS due,
       count(*) FILTER (WHERE m.state = 'open' AND m.claimed_at IS NOT NULL AND m.due_at > statement_timestamp()),
       count(*) FILTER (WHERE m.state = 'dead') AS dead,
       coalesce(extract(epoch FROM statement_timestamp() - min(m.created_at) FILTER (
           WHERE m.state = 'open' AND (m.scheduled_for IS NULL OR m.scheduled_for <= statement_timestamp()))), 0),
       max(d.pause_reason) FILTER (WHERE d.paused_until > statement_timestamp() - interval '2 seconds')
FROM outbox_outboxmessage m LEFT JOIN outbox_destination d ON d.name = m.destination
WHERE m.state = 'open' OR m.state = 'dead'
GROUP BY m.destination ORDER BY m.destination
"""

# Every consumer's newest rows by its own part of the primary key (consumer, message_id), then the newest of those:
# there is no index on message_id alone, and no sort of the table. The walk over the consumers is one probe for each.
INBOX_PAGE = """
WITH RECURSIVE known AS (
    (SELECT consumer FROM outbox_inboxmessage ORDER BY consumer LIMIT 1)
    UNION ALL
    SELECT (SELECT i.consumer FROM outbox_inboxmessage i WHERE i.consumer > known.consumer ORDER BY i.consumer LIMIT 1)
    FROM known WHERE known.consumer IS NOT NULL
)
SELECT page.consumer, page.message_id, page.received_at
FROM known CROSS JOIN LATERAL (
    SELECT i.* FROM outbox_inboxmessage i
    WHERE i.consumer = known.consumer
      AND (%(message_id)s::uuid IS NULL OR i.message_id = %(message_id)s)
      AND (%(below_id)s::uuid IS NULL
           OR (i.message_id <= %(below_id)s AND (i.message_id, i.consumer) < (%(below_id)s, %(below_consumer)s)))
    ORDER BY i.message_id DESC LIMIT %(limit)s
) page
WHERE %(consumer)s::text IS NULL OR known.consumer = %(consumer)s
ORDER BY page.message_id DESC, page.consumer DESC LIMIT %(limit)s
"""
CONSUMERS = INBOX_PAGE[: INBOX_PAGE.index(")\nSELECT page")] + ") SELECT consumer FROM known WHERE consumer IS NOT NULL"


class Reading(TextChoices):
    """What an open message is doing; of any other, its state says all."""

    DUE = "due"
    RUNNING = "running"
    SCHEDULED = "scheduled"
    BACKING_OFF = "backing_off", "Backing off"
    PARKED = "parked"


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


def with_readings(messages: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
    """The same messages, each with its `reading`: what an open one is doing, else its state.

    Index outbox_unfinished_by_aggregate answers whether an open message stands behind another.
    """
    ahead = OutboxMessage.objects.filter(
        destination=OuterRef("destination"),
        aggregate_id=OuterRef("aggregate_id"),
        id__lt=OuterRef("id"),
        state__in=[OutboxMessage.State.OPEN, OutboxMessage.State.DEAD],
        order_free=False,
    )
    return messages.annotate(
        reading=Case(
            When(~Q(state=OutboxMessage.State.OPEN), then=F("state")),
            When(claimed_at__isnull=False, due_at__gt=Now(), then=Value(Reading.RUNNING)),
            When(Q(order_free=False) & Exists(ahead), then=Value(Reading.PARKED)),
            When(due_at__lte=Now(), then=Value(Reading.DUE)),
            When(Q(attempts__gt=0) | Q(last_error__gt=""), then=Value(Reading.BACKING_OFF)),
            default=Value(Reading.SCHEDULED),
            output_field=CharField(),
        )
    )


def reads(messages: QuerySet[OutboxMessage], reading: str) -> QuerySet[OutboxMessage]:
    """The open messages of one reading; index outbox_open keeps this to the unfinished ones."""
    readings = with_readings(messages.filter(state=OutboxMessage.State.OPEN))
    return readings.filter(reading=reading)  # type: ignore[misc]  # an annotation that the plugin does not see


def newest(rows: QuerySet[Any], *, order: str = "-pk") -> QuerySet[Any]:
    """Those of these rows that are among the first UNINDEXED_ROWS_MAX of their table, in an order that has an index.

    For a filter that no index serves: what it looks for may be rare, and the walk to the oldest row long. The last of
    them is looked up first: of a subquery the planner knows nothing, and where it expects no row it reads them all.
    """
    column = order.removeprefix("-")
    keys = rows.model._default_manager.order_by(order).values_list(column, flat=True)
    for last in keys[UNINDEXED_ROWS_MAX - 1 : UNINDEXED_ROWS_MAX]:
        return rows.filter(**{f"{column}__{'gte' if order.startswith('-') else 'lte'}": last})
    return rows


def find(message_id: UUID) -> list[OutboxMessage]:
    """A message's rows, one per destination, each with its reading."""
    return list(with_readings(OutboxMessage.objects.filter(message_id=message_id)).order_by("key"))


def about(aggregate_ids: Sequence[UUID], *, first: int, last: int) -> tuple[list[OutboxMessage], int]:
    """The first and the last messages about any of these, each with its reading, oldest first; payloads are not read.

    And how many between them are left out, counted up to LEFT_OUT_MAX.
    Index one_message_per_aggregate_sequence_and_destination, whose first column is the aggregate.
    """
    rows = OutboxMessage.objects.filter(aggregate_id__in=aggregate_ids).defer("payload")
    oldest = list(with_readings(rows).order_by("id")[:first])
    if len(oldest) < first:
        return oldest, 0
    others = rows.filter(id__gt=oldest[-1].id)
    newest = list(with_readings(others).order_by("-id")[:last])
    left_out = others.filter(id__lt=newest[-1].id)[:LEFT_OUT_MAX].count() if newest else 0
    return [*oldest, *reversed(newest)], left_out


def acts_on(targets: Mapping[str, Sequence[str]], *, limit: int) -> list[OperatorAct]:
    """What people did to these rows, by kind of row, oldest first. Index operator_act_by_target."""
    found = Q(pk__in=[])
    for target_type, ids in targets.items():
        found |= Q(target_type=target_type, target_id__in=ids)
    return list(
        OperatorAct.objects.filter(found).select_related("who", "approved_by").order_by("acted_at", "pk")[:limit]
    )


def clock() -> datetime:
    """Now, by the database: what is due is due by its clock, whatever the host's says (F6)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def pause_of(destination: str) -> tuple[datetime, str] | None:
    """Until when nothing of this destination is claimed, and why; None when it is not paused.

    As in STATUS: one that ended a moment ago, for a look at its breaker, still counts.
    """
    paused = Destination.objects.filter(name=destination, paused_until__gt=Now() - timedelta(seconds=2)).first()
    return (paused.paused_until, paused.pause_reason) if paused and paused.paused_until else None


def destinations() -> list[str]:
    """The destinations of this code, and those that some code has rung before."""
    inside = {destination.name for destination in routing.all_inside()}
    outside = {destination.name for destination in routing.all_outside()}
    return sorted(inside | outside | set(Destination.objects.values_list("name", flat=True)))


def acted(verb: str, target_type: str, target_id: object) -> bool:
    """Whether a person did this to that before: only then a second click is "already done"."""
    return OperatorAct.objects.filter(verb=verb, target_type=target_type, target_id=str(target_id)).exists()


def act_detail(verb: str, target_type: str, target_id: object) -> dict[str, Any]:
    """What the last act of this verb on this says beside its reason, if there is one. Index operator_act_by_target."""
    acts = OperatorAct.objects.filter(verb=verb, target_type=target_type, target_id=str(target_id))
    return acts.order_by("-acted_at", "-pk").values_list("detail", flat=True).first() or {}


def inbox_consumers() -> list[str]:
    """The consumers that have rows in the inbox: one probe of the primary key for each."""
    with connection.cursor() as cursor:
        cursor.execute(CONSUMERS)
        return [name for (name,) in cursor.fetchall()]


def inbox_page(
    *,
    consumer: str | None = None,
    message_id: UUID | None = None,
    below: tuple[UUID, str] | None = None,
    limit: int,
) -> list[InboxMessage]:
    """Inbox rows, newest message first, below (message id, consumer)."""
    with connection.cursor() as cursor:
        cursor.execute(
            INBOX_PAGE,
            {
                "consumer": consumer,
                "message_id": message_id,
                "below_id": below[0] if below else None,
                "below_consumer": below[1] if below else None,
                "limit": limit,
            },
        )
        return [InboxMessage(consumer=row[0], message_id=row[1], received_at=row[2]) for row in cursor.fetchall()]


def open_message_ids(message_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these messages that are open."""
    rows = OutboxMessage.objects.filter(message_id__in=message_ids, state=OutboxMessage.State.OPEN)
    return set(rows.values_list("message_id", flat=True))
