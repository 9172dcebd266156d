"""What a carrier must be able to do, and the values that travel to and from it.

Every carrier passes `tests/shipping/test_carrier_conformance.py`: it never touches the database, and every failure of
it is exactly one of Refused, Unavailable, OutcomeUnknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

# SKU and quantity.
Line = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class ShipmentIntent:
    """What will be asked for, as noted in the shipment's row."""

    shipment_id: UUID
    order_id: UUID
    provider_key: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class ShipmentReceipt:
    """The carrier takes the parcel."""

    provider_reference: str
    tracking_number: str


@dataclass(frozen=True, kw_only=True)
class CancellationIntent:
    cancellation_id: UUID
    shipment_id: UUID
    order_id: UUID
    provider_key: str
    shipment_reference: str


@dataclass(frozen=True, kw_only=True)
class CancellationReceipt:
    provider_reference: str


@dataclass(frozen=True, kw_only=True)
class LedgerShipment:
    """One shipment in the carrier's own books, for audit and reconciliation. `order_id` is whatever stands there."""

    provider_reference: str
    provider_key: str
    order_id: str
    # "created", "cancelled", "refused", or a word of the carrier's that this code does not know.
    status: str
    created_at: datetime

    @property
    def is_active(self) -> bool:
        return self.status == "created"


@dataclass(frozen=True, kw_only=True)
class LedgerCancellation:
    """One cancellation in the carrier's own books."""

    provider_reference: str
    provider_key: str
    shipment_reference: str
    # "cancelled", "refused", or a word that this code does not know.
    status: str
    created_at: datetime


class Carrier(Protocol):
    """One carrier."""

    def create(self, intent: ShipmentIntent) -> ShipmentReceipt:
        """Books the parcel under the intent's key. Raises Refused, Unavailable or OutcomeUnknown."""
        ...

    def find(self, intent: ShipmentIntent) -> ShipmentReceipt | None:
        """What became of the key: the receipt, None when the carrier says it knows no such key.

        Raises Refused for a parcel that it refused, and for one cancelled since: no parcel stands there any more, so
        nothing may be confirmed on it. Unavailable or OutcomeUnknown when it could not be asked.
        """
        ...

    def cancel(self, intent: CancellationIntent) -> CancellationReceipt: ...

    def find_cancellation(self, intent: CancellationIntent) -> CancellationReceipt | None: ...

    def shipments(self, *, after: str = "", key: str = "") -> Iterator[LedgerShipment]:
        """The carrier's own listing, oldest first, read page by page as it is consumed.

        `after` begins behind the entry with that reference; `key` lists what stands under one key. Raises Unavailable
        or OutcomeUnknown: a listing that ends has been read to its end.
        """
        ...

    def cancellations(self, *, after: str = "", key: str = "") -> Iterator[LedgerCancellation]: ...
