"""Reads: what may be shown of shipments, many orders at once."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shipping.models import Cancellation, Shipment


def for_orders(order_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The newest shipment of each order that has one, by order id: status, tracking_number. One query."""
    # Index shipment_by_order; ids are in time order, so the newest row wins.
    rows = Shipment.objects.filter(order_id__in=order_ids).order_by("pk")
    return {row.order_id: {"status": row.status, "tracking_number": row.tracking_number or None} for row in rows}


def provider_keys(shipment_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The provider keys of these shipments, by order id. The primary key."""
    return dict(Shipment.objects.filter(pk__in=shipment_ids).values_list("order_id", "provider_key"))


def history_of(order_id: UUID) -> tuple[list[Shipment], list[Cancellation]]:
    """Every shipment and cancellation of an order, oldest first. Indexes shipment_by_order, cancellation_by_order."""
    shipments = Shipment.objects.filter(order_id=order_id).order_by("pk")
    return list(shipments), list(Cancellation.objects.filter(order_id=order_id).order_by("pk"))
