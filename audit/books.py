"""The four books that are kept twice: charges, refunds, shipments and cancellations, ours and theirs.

Theirs are read through the listings of payments and shipping; ours by SQL of the audit's own, set-based. An entry and a
row are brought to one shape, so that one rule compares all four.
Does not guarantee one moment: whoever compares reads theirs first and ours after it.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection

from payments import services as payments
from providers.conf import for_provider
from shipping import services as shipping

from .conf import reconciliation

FIRST_ROW = UUID(int=0)
# Instead of a key, for an entry that has none, with its reference: two of them are two. No provider is asked about it.
NO_KEY = "no key: "
KEY_MAX = 255
# A saga's id and what it keys with it (sagas.definition.StepRun).
KEY_OF_OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:.+")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What stands in their book. `parent` is the charge of a refund, the shipment of a cancellation."""

    key: str
    reference: str
    order_id: UUID | None
    parent: str
    status: str
    amount_minor: int | None
    undone_minor: int | None
    currency: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Row:
    """What stands in ours.

    `undo_noted`: something that undoes it is noted and not done; the undo's own book tells of it. `unowned`: it stands,
    its order ended without it, and neither a saga nor an operator's word answers for it.
    """

    id: UUID
    key: str
    reference: str
    order_id: UUID
    parent: str
    status: str
    amount_minor: int | None
    undone_minor: int | None
    currency: str
    quiet_seconds: float
    undo_noted: bool
    unowned: bool


@dataclass(frozen=True, kw_only=True)
class Book:
    """One kind of object. The sets hold the statuses, ours and theirs, that mean: it happened; it will not; undone."""

    object: str
    provider: str
    listed: Callable[[str, str], Iterator[Entry]]
    sql: str
    table: str
    happened: frozenset[str]
    settled_otherwise: frozenset[str]
    undone: frozenset[str]
    their_happened: frozenset[str]
    their_refused: frozenset[str]
    # What their entry names of ours, and which of those we know.
    named: Callable[[Entry], UUID | str | None]
    known_sql: str
    # Of a saga's step, whose success may come late.
    step: str = ""

    def entries(self, *, after: str = "") -> Iterator[Entry]:
        """Theirs, oldest first, behind a reference; network only. Raises Unavailable or OutcomeUnknown."""
        return self.listed(after, "")

    def entry(self, key: str) -> Entry | None:
        """Theirs, under one key; as `entries`."""
        return next(self.listed("", key), None)

    def rows(self, keys: Collection[str]) -> dict[str, Row]:
        """Ours, by key. The unique index on the provider key."""
        return {row.key: row for row in self._rows("t.provider_key = ANY(%(keys)s)", {"keys": list(keys)})}

    def strangers(self, entries: Collection[Entry]) -> set[str]:
        """Keys of entries that are somebody else's, in one query: neither the key nor what it names is of ours."""
        named = {one.key: self.named(one) for one in entries if not KEY_OF_OURS.fullmatch(one.key)}
        wanted = [name for name in set(named.values()) if name]
        with connection.cursor() as cursor:
            if wanted:
                cursor.execute(self.known_sql, [wanted])
            known = {name for (name,) in cursor.fetchall()} if wanted else set()
        return {key for key, name in named.items() if name not in known}

    def rows_that_may_stand(self, *, above: UUID, up_to: UUID | None, limit: int) -> list[Row]:
        """Ours that happened or may yet, by id, which is the order in which they were noted. The primary key."""
        condition = (
            "t.id > %(above)s AND (%(up_to)s::uuid IS NULL OR t.id <= %(up_to)s) AND t.status <> ALL(%(otherwise)s)"
        )
        values = {"above": above, "up_to": up_to, "otherwise": list(self.settled_otherwise), "limit": limit}
        return self._rows(f"{condition} ORDER BY t.id LIMIT %(limit)s", values)

    def awaited_rows(self, ids: Collection[UUID]) -> list[Row]:
        """Those of ours that happened or may yet, by id. The primary key."""
        condition = "t.id = ANY(%(ids)s) AND t.status <> ALL(%(otherwise)s) ORDER BY t.id"
        return self._rows(condition, {"ids": list(ids), "otherwise": list(self.settled_otherwise)}) if ids else []

    def settled_time(self, *, at_rest: bool) -> timedelta:
        """What is younger may be under way, and is not judged: nothing is, at rest."""
        if at_rest:
            return timedelta(0)
        return for_provider(self.provider).in_flight_horizon + timedelta(seconds=reconciliation().settled_seconds)

    def _rows(self, condition: str, values: Mapping[str, Any]) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(f"{self.sql} WHERE {condition}", values)
            names = [column[0] for column in cursor.description or ()]
            return [Row(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


# Its order ended without it; no saga is at work on it; and nobody skipped its undo, which is a person's word.
# Indexes: one_saga_per_name_and_subject, operator_act_by_target.
UNOWNED = """
    EXISTS (SELECT FROM orders_order o WHERE o.id = t.order_id AND o.status IN ('rejected', 'cancelled'))
    AND NOT EXISTS (SELECT FROM sagas_saga s WHERE s.name = 'fulfil_order' AND s.subject_id = t.order_id
                    AND s.status IN ('running', 'needs_attention'))
    AND NOT EXISTS (SELECT FROM outbox_operatoract a WHERE a.target_type = 'saga' AND a.verb = 'skip'
                    AND a.target_id = split_part(t.provider_key, ':', 1))
"""
SHARED = """
    t.id, t.provider_key AS key, t.provider_reference AS reference, t.order_id, t.status,
    extract(epoch FROM statement_timestamp() - t.updated_at)::float8 AS quiet_seconds
"""
CHARGES = f"""
SELECT {SHARED}, '' AS parent, t.amount_minor, t.refunded_minor AS undone_minor, t.currency,
       EXISTS (SELECT FROM payments_refund r WHERE r.payment_id = t.id AND r.status <> 'refunded') AS undo_noted,
       t.status IN ('captured', 'late') AND {UNOWNED} AS unowned
FROM payments_payment t
"""
REFUNDS = f"""
SELECT {SHARED}, p.provider_reference AS parent, t.amount_minor, NULL::bigint AS undone_minor, p.currency,
       false AS undo_noted, false AS unowned
FROM payments_refund t JOIN payments_payment p ON p.id = t.payment_id
"""
SHIPMENTS = f"""
SELECT {SHARED}, '' AS parent, NULL::bigint AS amount_minor, NULL::bigint AS undone_minor, '' AS currency,
       EXISTS (SELECT FROM shipping_cancellation c WHERE c.shipment_id = t.id AND c.status <> 'cancelled')
           AS undo_noted,
       t.status IN ('created', 'late') AND {UNOWNED} AS unowned
FROM shipping_shipment t
"""
CANCELLATIONS = f"""
SELECT {SHARED}, s.provider_reference AS parent, NULL::bigint AS amount_minor, NULL::bigint AS undone_minor,
       '' AS currency, false AS undo_noted, false AS unowned
FROM shipping_cancellation t JOIN shipping_shipment s ON s.id = t.shipment_id
"""

# Primary key; payment and shipment have a unique index on the reference that is not empty.
KNOWN_ORDERS = "SELECT id FROM orders_order WHERE id = ANY(%s)"
KNOWN_CHARGES = (
    "SELECT provider_reference FROM payments_payment WHERE provider_reference = ANY(%s) AND provider_reference <> ''"
)
KNOWN_SHIPMENTS = (
    "SELECT provider_reference FROM shipping_shipment WHERE provider_reference = ANY(%s) AND provider_reference <> ''"
)


def _charges(after: str, key: str) -> Iterator[Entry]:
    for charge in payments.provider_charges(after=after, key=key):
        yield _entry(
            charge,
            order_id=_uuid(charge.order_id),
            amount_minor=charge.amount_minor,
            undone_minor=charge.refunded_minor,
            currency=charge.currency,
        )


def _refunds(after: str, key: str) -> Iterator[Entry]:
    for refund in payments.provider_refunds(after=after, key=key):
        yield _entry(refund, parent=refund.charge_reference, amount_minor=refund.amount_minor, currency=refund.currency)


def _shipments(after: str, key: str) -> Iterator[Entry]:
    for shipment in shipping.provider_shipments(after=after, key=key):
        yield _entry(shipment, order_id=_uuid(shipment.order_id))


def _cancellations(after: str, key: str) -> Iterator[Entry]:
    for cancellation in shipping.provider_cancellations(after=after, key=key):
        yield _entry(cancellation, parent=cancellation.shipment_reference)


def _entry(listed: Any, **known: Any) -> Entry:
    nothing: dict[str, Any] = {
        "order_id": None, "parent": "", "amount_minor": None, "undone_minor": None, "currency": "",
    }  # fmt: skip
    return Entry(
        key=listed.provider_key or f"{NO_KEY}{listed.provider_reference}"[:KEY_MAX],
        reference=listed.provider_reference,
        status=listed.status,
        created_at=listed.created_at,
        **nothing | known,
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


BOOKS: Sequence[Book] = (
    Book(
        object="charge",
        provider="payments",
        listed=_charges,
        sql=CHARGES,
        table="payments_payment",
        happened=frozenset({"captured", "late", "refunded"}),
        settled_otherwise=frozenset({"absent", "declined"}),
        undone=frozenset({"refunded"}),
        their_happened=frozenset({"captured"}),
        their_refused=frozenset({"declined"}),
        named=attrgetter("order_id"),
        known_sql=KNOWN_ORDERS,
        step="charge_payment",
    ),
    Book(
        object="refund",
        provider="payments",
        listed=_refunds,
        sql=REFUNDS,
        table="payments_refund",
        happened=frozenset({"refunded"}),
        settled_otherwise=frozenset({"refused"}),
        undone=frozenset(),
        their_happened=frozenset({"refunded"}),
        their_refused=frozenset({"declined"}),
        named=attrgetter("parent"),
        known_sql=KNOWN_CHARGES,
    ),
    Book(
        object="shipment",
        provider="shipping",
        listed=_shipments,
        sql=SHIPMENTS,
        table="shipping_shipment",
        happened=frozenset({"created", "late", "cancelled"}),
        settled_otherwise=frozenset({"absent", "refused"}),
        undone=frozenset({"cancelled"}),
        their_happened=frozenset({"created", "cancelled"}),
        their_refused=frozenset({"refused"}),
        named=attrgetter("order_id"),
        known_sql=KNOWN_ORDERS,
        step="create_shipment",
    ),
    Book(
        object="cancellation",
        provider="shipping",
        listed=_cancellations,
        sql=CANCELLATIONS,
        table="shipping_cancellation",
        happened=frozenset({"cancelled"}),
        settled_otherwise=frozenset({"refused"}),
        undone=frozenset(),
        their_happened=frozenset({"cancelled"}),
        their_refused=frozenset({"refused"}),
        named=attrgetter("parent"),
        known_sql=KNOWN_SHIPMENTS,
    ),
)


def book(of: str) -> Book:
    """The book of one kind of object; raises KeyError."""
    return {each.object: each for each in BOOKS}[of]
