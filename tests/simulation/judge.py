"""The judge: what must be true of any finished run, by the rows, the audit, and the records of everybody outside.

Guarantee: each rule is exact; what is found is told in one sentence, with the order's number. Nothing here is shared
with the services but their tables. `manage.py audit`'s own SQL is asked last, as an operator would.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from audit.report import audit_now
from inventory.models import Reservation, StockItem
from notifications.models import Notification
from orders.models import Order, OrderLine
from outbox.models import OperatorAct, OutboxMessage
from payments.models import Payment, Refund
from sagas.models import Saga, SagaStep
from shipping.models import Cancellation, Shipment

from . import database
from .world import STOCK

if TYPE_CHECKING:
    from .world import World

ENDED = {"confirmed": "completed", "rejected": "compensated", "cancelled": "compensated"}


def verdict(world: World) -> list[str]:
    """Everything that is wrong; nothing, if all is well."""
    database.show(world.now)
    wrong = [*world.people.errors, *world.network.breaches]
    for rule in (_answers, _orders, _stock, _payments, _parcels, _unfinished, _told_outside, _told_customers, _sweeps):
        wrong += [f"{rule.__name__.strip('_')}: {found}" for found in rule(world)]
    report = audit_now(at_rest=True, with_ledgers=False)
    wrong += [f"audit {found.promise} {found.check}: {found.rows[:3]}" for found in report.violations]
    return wrong


def _answers(world: World) -> Iterator[str]:
    """I1, I2: what was answered is there, once, and always with the same words; nothing else is there."""
    for wish in world.people.wishes:
        if len(set(wish.answers)) > 1:
            yield f"{wish.name} got different answers: {wish.answers}"
    placed = {wish.order_id: wish for wish in world.people.wishes if wish.order_id}
    wished = [wish for wish in world.people.wishes if wish.order is None]
    there = {str(pk) for pk in Order.objects.values_list("pk", flat=True)}
    yield from (f"{wish.name} was answered and is not there" for pk, wish in placed.items() if pk not in there)
    if len({wish.order_id for wish in placed.values()}) != sum(wish.order_id is not None for wish in wished):
        yield "two wishes were answered with one order"
    unheard = [wish for wish in wished if not wish.order_id]
    if len(there) - len(placed) > len(unheard):
        yield f"{len(there)} orders came of {len(wished)} wishes, {len(unheard)} of them unanswered"
    for wish in world.people.wishes:
        if wish.order is not None and wish.answers and wish.answers[-1][0] in {200, 202}:
            status = Order.objects.get(pk=wish.order.order_id or "").status
            if status not in {"cancelled", "rejected"}:
                yield f"{wish.name} was accepted, and the order is {status}"


def _orders(world: World) -> Iterator[str]:
    """I8, I9, I10: every order ended, and its saga, money, parcel and stock agree with it."""
    money: dict[UUID, int] = defaultdict(int)
    for payment in Payment.objects.all():
        money[payment.order_id] += payment.captured_minor - payment.refunded_minor
    parcels = Counter(Shipment.objects.filter(status="created").values_list("order_id", flat=True))
    sagas = {saga.subject_id: saga for saga in Saga.objects.all()}
    states: dict[UUID, set[str]] = defaultdict(set)
    for order_id, state in Reservation.objects.values_list("order_id", "state"):
        states[order_id].add(state)
    for order in Order.objects.order_by("pk"):
        confirmed = order.status == "confirmed"
        label, saga = world.label(order.pk), sagas.get(order.pk)
        if order.status == "pending":
            yield f"{label} is still pending"
            continue
        if saga is not None and saga.status != ENDED[order.status]:
            yield f"{label} is {order.status}, its saga {saga.status}"
        if money[order.pk] != (order.total_minor if confirmed else 0):
            yield f"{label} is {order.status} and holds {money[order.pk]} of {order.total_minor}"
        if parcels[order.pk] != int(confirmed):
            yield f"{label} is {order.status} and has {parcels[order.pk]} parcels"
        if not states[order.pk] <= ({"committed"} if confirmed else {"released"}) or (
            confirmed and not states[order.pk]
        ):
            yield f"{label} is {order.status}, its stock {states[order.pk]}"


def _stock(world: World) -> Iterator[str]:
    """I10: nothing was oversold, nothing is still held back, and nobody was refused what was there."""
    sold: Counter[str] = Counter()
    for sku, quantity in Reservation.objects.filter(state="committed").values_list("sku", "quantity"):
        sold[sku] += quantity
    lines: Counter[str] = Counter()
    for sku, quantity in OrderLine.objects.filter(order__status="confirmed").values_list("sku", "quantity"):
        lines[sku] += quantity
    for item in StockItem.objects.order_by("sku"):
        if (item.on_hand, item.reserved) != (STOCK[item.sku] - sold[item.sku], 0) or sold[item.sku] != lines[item.sku]:
            yield f"{item.sku}: {item.on_hand} there, {item.reserved} held back, {sold[item.sku]} sold"


def _payments(world: World) -> Iterator[str]:
    """I3, I9: the provider's books are ours, entry by entry; one key, one charge, per order at most one that counts."""
    ours = {row.provider_key: row for row in Payment.objects.all()}
    theirs = {entry["idempotency_key"]: entry for entry in world.network.ledger.page("charges", after="", limit=1_000)}
    for key, entry in theirs.items():
        row = ours.get(key)
        captured = entry["amount_minor"] if entry["status"] == "captured" else 0
        mine = (row.captured_minor, row.refunded_minor) if row else None
        if mine != (captured, entry["refunded_minor"]):
            yield f"charge {world.label(key)}: they have {captured} - {entry['refunded_minor']}, we have {mine}"
    yield from (
        f"charge {world.label(key)}: we have {row.captured_minor}, they know nothing"
        for key, row in ours.items()
        if row.captured_minor and key not in theirs
    )
    if pending := ours and [row for row in ours.values() if row.status in {"pending", "unknown", "late"}]:
        yield f"payments are {[(world.label(row.order_id), row.status) for row in pending]}"
    refunded = {row.provider_key for row in Refund.objects.filter(status="refunded")}
    books = world.network.ledger.page("refunds", after="", limit=1_000)
    if refunded != {entry["idempotency_key"] for entry in books if entry["status"] == "refunded"}:
        yield f"refunds differ: we have {sorted(refunded)}, they have {books}"
    yield from (f"the sandbox saw {found}" for found in world.network.violations())


def _parcels(world: World) -> Iterator[str]:
    ours = {row.provider_key: row.status for row in Shipment.objects.all()}
    books = world.network.ledger.page("shipments", after="", limit=1_000)
    for entry in books:
        status = ours.get(entry["idempotency_key"])
        if entry["status"] in {"created", "cancelled"} and status != entry["status"]:
            yield f"parcel {world.label(entry['idempotency_key'])}: they say {entry['status']}, we say {status}"
    known = {entry["idempotency_key"] for entry in books}
    yield from (
        f"parcel {world.label(key)}: we say {status}, they know nothing"
        for key, status in ours.items()
        if status in {"created", "cancelled"} and key not in known
    )
    if open_rows := Shipment.objects.filter(status__in=["pending", "unknown", "late"]).count():
        yield f"{open_rows} parcels are unresolved"
    cancelled = set(Cancellation.objects.filter(status="cancelled").values_list("provider_key", flat=True))
    entries = world.network.ledger.page("cancellations", after="", limit=1_000)
    if cancelled != {entry["idempotency_key"] for entry in entries if entry["status"] == "cancelled"}:
        yield f"cancellations differ: we have {sorted(cancelled)}, they have {entries}"


def _unfinished(world: World) -> Iterator[str]:
    """I4, I11: nothing waits any more, and nothing is dead that an operator could not bring to life."""
    for row in OutboxMessage.objects.filter(state__in=["open", "dead"]).order_by("id"):
        yield f"{row.destination} of {world.label(row.correlation_id)} is {row.state}: {row.last_error[:120]}"
    live = Saga.objects.filter(status__in=["running", "needs_attention"])
    yield from (f"saga of {world.label(saga.subject_id)} is {saga.status}: {saga.last_error}" for saga in live)
    unresolved = SagaStep.objects.filter(saga__status="compensated", status__in=["running", "retrying", "unknown"])
    yield from (f"step {step.name} is {step.status} in a saga that has ended (I13)" for step in unresolved)


def _told_outside(world: World) -> Iterator[str]:
    """I1, I4, I12: the subscriber outside has every event of every order, one event once by its id, each aggregate's
    first deliveries in the order of their sequence."""
    first: dict[str, dict[str, Any]] = {}
    for envelope in world.subscriber.got:
        known = first.setdefault(envelope["eventId"], envelope)
        if known != envelope:
            yield f"event {envelope['eventType']} came again with other words"
    last: dict[str, int] = {}
    kinds: dict[str, list[str]] = defaultdict(list)
    for envelope in first.values():
        meta = envelope["metadata"]
        kinds[meta["aggregateId"]].append(envelope["eventType"])
        if meta["sequence"] is None:
            continue
        if meta["sequence"] != last.get(meta["aggregateId"], 0) + 1 and not world.people.skipped:
            yield f"{envelope['eventType']} {meta['sequence']} came after {last.get(meta['aggregateId'], 0)}"
        last[meta["aggregateId"]] = meta["sequence"]
    if world.people.skipped:
        return
    for order in Order.objects.order_by("pk"):
        refunds = Refund.objects.filter(order_id=order.pk, status="refunded").count()
        expected = ["order.created.v1", f"order.{order.status}.v1", *["order.refunded.v1"] * refunds]
        if sorted(kinds[str(order.pk)]) != sorted(expected):
            yield f"of {world.label(order.pk)} outside knows {kinds[str(order.pk)]}, not {expected}"


def _told_customers(world: World) -> Iterator[str]:
    """Each end is told, by one notice, which the mail server has; once, or more often under the same Message-ID."""
    rows = {(row.order_id, row.kind): row.status for row in Notification.objects.all()}
    for order in Order.objects.order_by("pk"):
        if rows.get((order.pk, order.status)) not in {"sent", "refused"}:
            yield f"the end of {world.label(order.pk)}, {order.status}, was not told"
        others = {kind for order_id, kind in rows if order_id == order.pk} - {order.status, "refunded"}
        if others:
            yield f"{world.label(order.pk)} is {order.status}, and its customer was told {others}"
    sent = sum(status == "sent" for status in rows.values())
    if len(set(world.network.mails)) < sent:
        yield f"{sent} notices were sent, {len(set(world.network.mails))} mails came"


def _sweeps(world: World) -> Iterator[str]:
    """I6, I11: the sweep never finds a live saga without an open message."""
    if acts := OperatorAct.objects.filter(reason="").count():
        yield f"{acts} operator acts have no reason"
    if world.mended_by_sweep():
        yield "a live saga had no open message, and the sweep gave it one"
