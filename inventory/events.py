"""What became of an order's stock, as facts.

Guarantee: published in the transaction that moved the stock. The aggregate is the reservation, one per order, with an
id of its own: its first event has sequence 1, its release 2; a refusal reserves nothing and has none.
Not guaranteed: an event per product; one order's reservation is all or nothing.
"""

from dataclasses import dataclass
from typing import ClassVar, TypedDict
from uuid import UUID, uuid5

from outbox.registry import Event


class Item(TypedDict):
    productId: str
    qty: int


def reservation_id(order_id: UUID) -> UUID:
    """The aggregate id of an order's reservation: never the order's own, whose events have their own sequence."""
    return uuid5(order_id, "reservation")


@dataclass(frozen=True, kw_only=True)
class StockReserved(Event):
    """Every line of the order is promised."""

    type: ClassVar[str] = "stock.reserved.v1"
    aggregate_type: ClassVar[str] = "reservation"

    order_id: str
    items: list[Item]


@dataclass(frozen=True, kw_only=True)
class StockRefused(Event):
    """At least one line cannot be served; nothing was reserved."""

    type: ClassVar[str] = "stock.refused.v1"
    aggregate_type: ClassVar[str] = "reservation"

    order_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StockReleased(Event):
    """What was promised to the order is free again."""

    type: ClassVar[str] = "stock.released.v1"
    aggregate_type: ClassVar[str] = "reservation"

    order_id: str
