"""Shipments in the state a test begins with, made through the services."""

from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from uuid_utils.compat import uuid7

from shipping import services
from shipping.models import Shipment


def request(order_id: UUID | None = None, **changes) -> services.ShipmentRequest:
    fields: dict[str, Any] = {
        "order_id": order_id or uuid7(),
        "saga_key": f"{uuid4()}:create_shipment",
        "lines": [("WIDGET", 2), ("GADGET", 1)],
    }
    return services.ShipmentRequest(**fields | changes)


def note(*requests: services.ShipmentRequest) -> list[services.ShipmentIntent]:
    with transaction.atomic():
        intents = services.note_shipments(requests)
    return [intents[one.order_id] for one in requests]


def noted(**changes) -> services.ShipmentIntent:
    return note(request(**changes))[0]


def receipt() -> services.ShipmentReceipt:
    return services.ShipmentReceipt(provider_reference=f"sh_{uuid4().hex}", tracking_number="TRACK1")


def record(*answers: tuple[services.ShipmentIntent, object]) -> None:
    with transaction.atomic():
        services.record_shipments(answers)


def created(**changes) -> services.ShipmentIntent:
    intent = noted(**changes)
    record((intent, receipt()))
    return intent


def forget(*intents: services.ShipmentIntent) -> set[UUID]:
    with transaction.atomic():
        return services.forget_shipments(intents)


def note_cancellation(order_id: UUID, key: str = "") -> services.CancellationIntent | None:
    request = services.CancellationRequest(order_id=order_id, saga_key=key or f"{uuid4()}:create_shipment.undo")
    with transaction.atomic():
        return services.note_cancellations([request]).get(order_id)


def cancellation_receipt() -> services.CancellationReceipt:
    return services.CancellationReceipt(provider_reference=f"ca_{uuid4().hex}")


def record_cancellation(*answers: tuple[services.CancellationIntent, object]) -> None:
    with transaction.atomic():
        services.record_cancellations(answers)


def row(intent: services.ShipmentIntent | services.CancellationIntent) -> Shipment:
    return Shipment.objects.get(pk=intent.shipment_id)
