"""Cancellations: note, call, probe, record.

Guarantees: no cancellation is asked for while it is unknown whether there is a shipment (I13); one key, one row; every
function is safe to repeat. Does not guarantee that the carrier agrees: a parcel on the road may be refused.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from outbox.publisher import Publication, publish_all
from providers.backend import ask
from providers.errors import Refused, Unavailable
from providers.rows import move, statuses
from shipping.carriers.base import CancellationIntent, CancellationReceipt
from shipping.events import ShipmentCancelled
from shipping.exceptions import KeyReused, ShipmentUnresolved
from shipping.models import CANCELLABLE, Cancellation, CancellationStatus, Shipment, ShipmentStatus
from shipping.services.provider import carrier
from shipping.services.rows import lock_cancellations, lock_shipments, write_cancellations, write_shipments

UNRESOLVED = (ShipmentStatus.PENDING, ShipmentStatus.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class CancellationRequest:
    order_id: UUID
    saga_key: str


def note_cancellations(requests: Sequence[CancellationRequest]) -> dict[UUID, CancellationIntent]:
    """Writes cancellations down before they are asked for; an order with nothing to cancel is not in the answer.

    In the caller's transaction. Raises ShipmentUnresolved while it is unknown whether there is one (I13), KeyReused.
    """
    shipments = _lock_shipments_of([request.order_id for request in requests])
    known = _lock_by_key([request.saga_key for request in requests])
    fresh: list[Cancellation] = []
    for request in requests:
        if request.saga_key in known:
            _check_same(request, known[request.saga_key])
        elif shipment := _cancellable(shipments.get(request.order_id, [])):
            fresh.append(Cancellation(shipment=shipment, order_id=request.order_id, provider_key=request.saga_key))
    Cancellation.objects.bulk_create(fresh)
    by_id = {shipment.pk: shipment for rows in shipments.values() for shipment in rows}
    return {row.order_id: _intent(row, by_id[row.shipment_id]) for row in [*known.values(), *fresh]}


def cancellation_intents_of(cancellation_ids: Collection[UUID]) -> dict[UUID, CancellationIntent]:
    """Intents by cancellation id, to probe with; notes nothing, so no call may follow. One query."""
    rows = Cancellation.objects.filter(pk__in=cancellation_ids).select_related("shipment")
    return {row.pk: _intent(row, row.shipment) for row in rows}


def cancel_shipment(intent: CancellationIntent) -> CancellationReceipt:
    """Takes the shipment back. Network only; raises Refused, Unavailable or OutcomeUnknown."""
    return carrier().cancel(intent)


def find_cancellation(intent: CancellationIntent) -> CancellationReceipt | None:
    """The probe, by key; as `shipments.find_shipment`."""
    return ask(lambda: carrier().find_cancellation(intent))


def record_cancellations(answers: Sequence[tuple[CancellationIntent, object]]) -> None:
    """Writes facts, on cancellations and their shipments. In the caller's transaction, five statements at most."""
    shipments = lock_shipments([intent.shipment_id for intent, _ in answers])
    cancellations = lock_cancellations([intent.cancellation_id for intent, _ in answers])
    shipments_before, cancellations_before = statuses(shipments), statuses(cancellations)
    publications: list[Publication] = []
    for intent, answer in answers:
        shipment = shipments[intent.shipment_id]
        moved = _apply(cancellations[intent.cancellation_id], answer)
        if moved == CancellationStatus.CANCELLED and move(shipment, ShipmentStatus.CANCELLED):
            publications.append(_publication(shipment))
    write_cancellations(cancellations, before=cancellations_before)
    write_shipments(shipments, before=shipments_before)
    publish_all(publications)


def _apply(row: Cancellation, answer: object) -> str | None:
    """Changes a locked row to what the answer says, where that is more than it knows; returns the status it took."""
    match answer:
        case CancellationReceipt():
            moved, row.reason = move(row, CancellationStatus.CANCELLED), ""
            row.provider_reference = answer.provider_reference
        case Refused():
            moved, row.reason = move(row, CancellationStatus.REFUSED), answer.reason
        case Unavailable():
            moved = None  # nothing happened: what was known still holds
        case _:
            moved, row.reason = move(row, CancellationStatus.UNKNOWN), str(answer)
    return moved


def _publication(shipment: Shipment) -> Publication:
    shipment.sequence += 1
    return Publication(
        event=ShipmentCancelled(shipment_id=shipment.pk, order_id=shipment.order_id),
        aggregate_id=shipment.pk,
        sequence=shipment.sequence,
        correlation_id=shipment.order_id,
    )


def _lock_shipments_of(order_ids: Sequence[UUID]) -> dict[UUID, list[Shipment]]:
    rows: dict[UUID, list[Shipment]] = {}
    for row in Shipment.objects.select_for_update().filter(order_id__in=order_ids).order_by("pk"):
        rows.setdefault(row.order_id, []).append(row)
    return rows


def _lock_by_key(keys: Sequence[str]) -> dict[str, Cancellation]:
    rows = Cancellation.objects.select_for_update().filter(provider_key__in=keys).order_by("pk")
    return {row.provider_key: row for row in rows}


def _cancellable(shipments: Sequence[Shipment]) -> Shipment | None:
    unresolved = [row for row in shipments if row.status in UNRESOLVED]
    if unresolved:
        raise ShipmentUnresolved(f"shipment {unresolved[0].pk} is {unresolved[0].status}")
    return next((row for row in shipments if row.status in CANCELLABLE), None)


def _check_same(request: CancellationRequest, row: Cancellation) -> None:
    if row.order_id != request.order_id:
        raise KeyReused(f"key {request.saga_key} was noted for another order")


def _intent(row: Cancellation, shipment: Shipment) -> CancellationIntent:
    return CancellationIntent(
        cancellation_id=row.pk,
        shipment_id=shipment.pk,
        order_id=row.order_id,
        provider_key=row.provider_key,
        shipment_reference=shipment.provider_reference,
    )
