"""One order's whole story, read from every app's rows through that app's selectors, in order of time.

Guarantee: one query per kind of row however long the story is, each by an index and bounded; apps above this one add
what they know with `register` (their own `timeline.py`). Not guaranteed: one moment, each app is read by its own query;
what is purged; times between attempts, of which rows keep the first and the last; replays of the key, which leave no
row; webhooks and doubts, whose messages have aggregates of their own. Customers get `timeline_audience.py`'s part.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final
from uuid import UUID

from idempotency import selectors as idempotency
from inventory import selectors as inventory
from inventory.events import reservation_id
from notifications import selectors as notifications
from outbox import selectors as outbox
from outbox.envelope import trace_id
from payments import selectors as payments
from sagas import selectors as sagas
from sagas.outlook import outlook
from shipping import selectors as shipping

from . import timeline_rows as rows
from .events import OrderCreated
from .models import Order
from .selectors import FULFILMENT
from .timeline_entries import Entry, Kind

# An order has tens of messages. A story beyond this tells how it began and how it stands, and how many are left out.
FIRST_MESSAGES: Final = 100
LAST_MESSAGES: Final = 400
ACTS_MAX: Final = 500
# Shorter ones are what it takes to ring a worker.
GAP_MIN: Final = timedelta(seconds=1)
# What moves the order on: while none of it is under way, the order waits.
WORK: Final = frozenset({Kind.STEP, Kind.COMPENSATION})
# Rows that people act on, by the names that operator acts give them.
ACTED_ON: Final = {"sagas_saga": "saga", "outbox_outboxmessage": "outboxmessage", "audit_difference": "difference"}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Nothing was under way; `before` is the step that then began, "" while none has."""

    since: datetime
    until: datetime
    before: str = ""

    @property
    def seconds(self) -> float:
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """`next` says what happens next and when; `summary` is what is left of a purged saga, "" while it is there.

    `saga_id` is that of its saga while it is there, which may wait for a person.
    """

    order: Order
    read_at: datetime
    entries: Sequence[Entry]
    gaps: Sequence[Gap] = ()
    next: Sequence[str] = ()
    summary: str = ""
    saga_id: UUID | None = None
    waits_for_a_person: bool = False
    trace_id: str | None = None
    # Messages between the first and the last ones.
    left_out: int = 0

    @property
    def is_cut(self) -> bool:
        return self.left_out > 0


Source = Callable[[UUID], Sequence[Entry]]
_sources: list[Source] = []


def register(source: Source) -> Source:
    """Adds what an app above this one knows of an order."""
    _sources.append(source)
    return source


def read(order: Order) -> Timeline:
    """The whole story, as staff see it."""
    now = outbox.clock()
    story = sagas.story(FULFILMENT, order.pk)
    entries = [*_domain(order), *(rows.of_saga(*story) if story else ())]
    messages, left_out = outbox.about(_aggregates(order, entries), first=FIRST_MESSAGES, last=LAST_MESSAGES)
    entries += rows.of_messages(messages)
    entries += chain.from_iterable(source(order.pk) for source in _sources)
    entries += rows.of_acts(outbox.acts_on(_targets(entries), limit=ACTS_MAX))
    entries.sort(key=lambda entry: entry.began_at)
    return Timeline(
        order=order,
        read_at=now,
        entries=entries,
        gaps=list(_gaps(order, entries, now)) if story or order.ended_at is None else [],
        next=outlook(story[0], now=now) if story else _next_without_saga(order),
        summary="" if story else order.fulfilment_summary,
        saga_id=story[0].pk if story else None,
        waits_for_a_person=bool(story and story[0].waits_for_a_person),
        trace_id=_trace_id(messages),
        left_out=left_out,
    )


def _domain(order: Order) -> list[Entry]:
    """What came of the order in the apps below, but for its saga and its messages."""
    return [
        *rows.of_order(order),
        *rows.of_key(idempotency.use_that_made(order.pk)),
        *rows.of_payments(*payments.history_of(order.pk)),
        *rows.of_parcels(*shipping.history_of(order.pk)),
        *rows.of_reservations(inventory.reservations_of(order.pk)),
        *rows.of_notifications(notifications.of_order(order.pk)),
    ]


def _aggregates(order: Order, entries: Sequence[Entry]) -> list[UUID]:
    """Whose messages are the order's: its own, its stock's, and those of its saga, payments and parcels."""
    tables = {"sagas_saga", "payments_payment", "shipping_shipment"}
    ids = {UUID(entry.row.id) for entry in entries if entry.row and entry.row.table in tables}
    return [order.pk, reservation_id(order.pk), *sorted(ids)]


def _targets(entries: Sequence[Entry]) -> dict[str, list[str]]:
    targets: dict[str, list[str]] = {}
    for table, identity in sorted({(entry.row.table, entry.row.id) for entry in entries if entry.row}):
        if table in ACTED_ON:
            targets.setdefault(ACTED_ON[table], []).append(identity)
    return targets


def _gaps(order: Order, entries: Sequence[Entry], now: datetime) -> Iterator[Gap]:
    """From the order's beginning to its end, or to now."""
    since = order.placed_at
    for entry in entries:
        if entry.kind not in WORK:
            continue
        if entry.began_at - since >= GAP_MIN:
            yield Gap(since=since, until=entry.began_at, before=entry.name)
        since = max(since, entry.ended_at or now)
    if order.ended_at is None and now - since >= GAP_MIN:
        yield Gap(since=since, until=now)


def _next_without_saga(order: Order) -> list[str]:
    if order.ended_at is None:
        return ["Its saga has not begun: the message order.created.v1 to orders.start_fulfilment begins it."]
    return [f"Nothing more: it ended {order.status}."]


def _trace_id(messages: Sequence[Any]) -> str | None:
    """Of the request that placed the order: its first message carries it, until that is purged."""
    first = messages[0] if messages else None
    return trace_id(first.headers) if first and first.type == OrderCreated.type else None
