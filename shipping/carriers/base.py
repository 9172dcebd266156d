"""What a carrier must be able to do, and the values that travel to and from it.

Every carrier passes `tests/shipping/test_carrier_conformance.py`: it never touches the database, and every failure of
it is exactly one of Refused, Unavailable, OutcomeUnknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
    """One shipment in the carrier's own books, for the audit."""

    provider_reference: str
    provider_key: str
    is_active: bool


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

    def shipments(self) -> Iterator[LedgerShipment]:
        """The carrier's own listing, oldest first, read page by page."""
        ...
