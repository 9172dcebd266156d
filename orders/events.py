"""What became of an order, as facts for whoever listens: the payload classes and their wire names.

Guarantee: an event is published in the transaction that made it true, with the order's own sequence (I1, I12).
Not guaranteed: that a payload says all; `order.created.v1` names the order, its owner, its money and its items.
Published names and meanings never change: a new meaning is a new version.
"""

from dataclasses import dataclass
from typing import ClassVar, TypedDict

from outbox.registry import Event


class Item(TypedDict):
    productId: str
    qty: int


@dataclass(frozen=True, kw_only=True)
class OrderCreated(Event):
    """An order was accepted; it starts the fulfilment and is what outside services bind to."""

    type: ClassVar[str] = "order.created.v1"
    aggregate_type: ClassVar[str] = "order"

    order_id: str
    customer_id: str
    total_amount: str
    currency: str
    items: list[Item]


@dataclass(frozen=True, kw_only=True)
class OrderConfirmed(Event):
    """Everything is done: stock committed, money captured, parcel ordered."""

    type: ClassVar[str] = "order.confirmed.v1"
    aggregate_type: ClassVar[str] = "order"

    order_id: str
    customer_id: str
    total_amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class OrderRejected(Event):
    """The order cannot be fulfilled, and everything it had done is undone."""

    type: ClassVar[str] = "order.rejected.v1"
    aggregate_type: ClassVar[str] = "order"

    order_id: str
    customer_id: str
    total_amount: str
    currency: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(Event):
    """The customer changed their mind in time, and everything the order had done is undone."""

    type: ClassVar[str] = "order.cancelled.v1"
    aggregate_type: ClassVar[str] = "order"

    order_id: str
    customer_id: str
    total_amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class OrderRefunded(Event):
    """Money that the order had taken went back to the customer."""

    type: ClassVar[str] = "order.refunded.v1"
    aggregate_type: ClassVar[str] = "order"

    order_id: str
    customer_id: str
    total_amount: str
    currency: str
