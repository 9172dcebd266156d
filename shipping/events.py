"""Facts about shipments. The aggregate is the shipment; the order id is the correlation."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from outbox.registry import Event


@dataclass(frozen=True, kw_only=True)
class ShipmentCreated(Event):
    """The carrier takes the parcel."""

    type: ClassVar[str] = "shipment.created.v1"
    aggregate_type: ClassVar[str] = "shipment"

    shipment_id: UUID
    order_id: UUID
    tracking_number: str


@dataclass(frozen=True, kw_only=True)
class ShipmentCreatedLate(Event):
    """The carrier took the parcel after the order's process had settled that it does not: it must be undone (F13)."""

    type: ClassVar[str] = "shipment.created_late.v1"
    aggregate_type: ClassVar[str] = "shipment"

    shipment_id: UUID
    order_id: UUID
    tracking_number: str


@dataclass(frozen=True, kw_only=True)
class ShipmentRefused(Event):
    """The carrier does not take the parcel."""

    type: ClassVar[str] = "shipment.refused.v1"
    aggregate_type: ClassVar[str] = "shipment"

    shipment_id: UUID
    order_id: UUID
    reason: str


@dataclass(frozen=True, kw_only=True)
class ShipmentCancelled(Event):
    """The carrier took the shipment back."""

    type: ClassVar[str] = "shipment.cancelled.v1"
    aggregate_type: ClassVar[str] = "shipment"

    shipment_id: UUID
    order_id: UUID


@dataclass(frozen=True, kw_only=True)
class ShipmentDoubted(Event):
    """Somebody compared our books with the carrier's and doubts this row: a reason to ask again, never a fact.

    Its aggregate is the doubt, not the shipment: any number of them, in any order.
    """

    type: ClassVar[str] = "shipment.doubted.v1"
    aggregate_type: ClassVar[str] = "shipment_doubt"

    shipment_id: UUID


@dataclass(frozen=True, kw_only=True)
class CancellationDoubted(Event):
    """The same of a cancellation."""

    type: ClassVar[str] = "cancellation.doubted.v1"
    aggregate_type: ClassVar[str] = "cancellation_doubt"

    cancellation_id: UUID
