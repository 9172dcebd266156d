"""Shipments: note, call, probe, record, forget.

Guarantees: the row exists before the call; one key, one row, one parcel; what the carrier answered is written whoever
asks it to be, and a fact never gives way to a lesser one; every function is safe to repeat.
Does not guarantee that the call was made: a noted shipment may have died with its process. The probe tells.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from outbox.publisher import Publication, publish_all
from outbox.registry import Event
from providers.backend import ask
from providers.errors import Refused, Unavailable
from providers.rows import move, statuses
from shipping.carriers.base import Line, ShipmentIntent, ShipmentReceipt
from shipping.events import ShipmentCreated, ShipmentCreatedLate, ShipmentRefused
from shipping.exceptions import KeyReused, LiveShipmentExists
from shipping.models import Shipment, ShipmentStatus
from shipping.services.provider import carrier
from shipping.services.rows import insert_shipments, lock_shipments, write_shipments


@dataclass(frozen=True, kw_only=True)
class ShipmentRequest:
    """`saga_key` becomes the carrier's idempotency key: the same for every attempt, another for every operation."""

    order_id: UUID
    saga_key: str
    lines: Sequence[Line]


def note_shipments(requests: Sequence[ShipmentRequest]) -> dict[UUID, ShipmentIntent]:
    """Writes down what will be asked for, before it is asked; returns the intents by order id.

    In the caller's transaction, one statement for any number of new ones. Noted again, a shipment keeps its row.
    Raises LiveShipmentExists for a second live shipment of an order, KeyReused for a key with another content.
    """
    fresh = [_new_shipment(request) for request in requests]
    # Conflicts on the key are repeats. One on the order leaves no row under the key, which shows below.
    written = insert_shipments(fresh)
    rows = {row.provider_key: row for row in fresh if row.pk in written}
    rows |= _lock_by_key([request.saga_key for request in requests if request.saga_key not in rows])
    for request in requests:
        _check_same(request, rows.get(request.saga_key))
    return {row.order_id: _intent(row) for row in rows.values()}


def intents_of(shipment_ids: Collection[UUID]) -> dict[UUID, ShipmentIntent]:
    """Intents by shipment id, to probe with; notes nothing, so no call may follow. One query."""
    return {row.pk: _intent(row) for row in Shipment.objects.filter(pk__in=shipment_ids)}


def create_shipment(intent: ShipmentIntent) -> ShipmentReceipt:
    """Books the parcel. Network only; raises Refused, Unavailable or OutcomeUnknown."""
    return carrier().create(intent)


def find_shipment(intent: ShipmentIntent) -> ShipmentReceipt | None:
    """The probe, by key: what happened, or None for "the carrier knows no such key".

    Network only; raises Refused for a parcel that the carrier refused, OutcomeUnknown when it could not be asked.
    None proves that nothing will happen only once the last call is older than the in-flight horizon (I13).
    """
    return ask(lambda: carrier().find(intent))


def record_shipments(answers: Sequence[tuple[ShipmentIntent, object]]) -> None:
    """Writes facts: receipts, or what was raised instead. In the caller's transaction, three statements for any number.

    An answer that is neither a receipt, Refused nor Unavailable leaves the outcome unknown.
    """
    rows = lock_shipments([intent.shipment_id for intent, _ in answers])
    before = statuses(rows)
    publications: list[Publication] = []
    for intent, answer in answers:
        row = rows[intent.shipment_id]
        if event := _apply(row, answer):
            publications.append(_publication(row, event))
    write_shipments(rows, before=before)
    publish_all(publications)


def forget_shipments(intents: Sequence[ShipmentIntent]) -> set[UUID]:
    """Settles shipments as absent: the probe proved that nothing happened, and nobody will ask for them again.

    Returns the ids of the orders that have no shipment now. One that is missing was created meanwhile: it must be
    undone, not forgotten. A shipment found after this becomes `late`.
    """
    rows = lock_shipments([intent.shipment_id for intent in intents])
    before = statuses(rows)
    for row in rows.values():
        move(row, ShipmentStatus.ABSENT)
    write_shipments(rows, before=before)
    return {row.order_id for row in rows.values() if row.status in (ShipmentStatus.ABSENT, ShipmentStatus.REFUSED)}


def _apply(row: Shipment, answer: object) -> Event | None:
    """Changes a locked row to what the answer says, where that is more than it knows; returns the event to publish."""
    match answer:
        case ShipmentReceipt():
            return _apply_receipt(row, answer)
        case Refused():
            if move(row, ShipmentStatus.REFUSED):
                row.reason = answer.reason
                return ShipmentRefused(shipment_id=row.pk, order_id=row.order_id, reason=answer.reason)
        case Unavailable():
            pass  # nothing happened: what was known still holds
        case _:
            if move(row, ShipmentStatus.UNKNOWN):
                row.reason = str(answer)
    return None


def _apply_receipt(row: Shipment, receipt: ShipmentReceipt) -> Event | None:
    moved = move(row, ShipmentStatus.CREATED, ShipmentStatus.LATE)
    if moved is None:
        return None
    row.provider_reference = receipt.provider_reference
    row.tracking_number = receipt.tracking_number
    row.reason = ""
    created = ShipmentCreatedLate if moved == ShipmentStatus.LATE else ShipmentCreated
    return created(shipment_id=row.pk, order_id=row.order_id, tracking_number=receipt.tracking_number)


def _publication(row: Shipment, event: Event) -> Publication:
    row.sequence += 1
    return Publication(event=event, aggregate_id=row.pk, sequence=row.sequence, correlation_id=row.order_id)


def _new_shipment(request: ShipmentRequest) -> Shipment:
    return Shipment(
        order_id=request.order_id, provider_key=request.saga_key, lines=[list(line) for line in request.lines]
    )


def _lock_by_key(keys: Sequence[str]) -> dict[str, Shipment]:
    rows = Shipment.objects.select_for_update().filter(provider_key__in=keys).order_by("pk")
    return {row.provider_key: row for row in rows}


def _check_same(request: ShipmentRequest, row: Shipment | None) -> None:
    if row is None:
        raise LiveShipmentExists(f"order {request.order_id} has a live shipment under another key")
    if (row.order_id, row.lines) != (request.order_id, [list(line) for line in request.lines]):
        raise KeyReused(f"key {request.saga_key} was noted for something else")


def _intent(row: Shipment) -> ShipmentIntent:
    return ShipmentIntent(
        shipment_id=row.pk,
        order_id=row.order_id,
        provider_key=row.provider_key,
        lines=tuple((sku, quantity) for sku, quantity in row.lines),
    )
