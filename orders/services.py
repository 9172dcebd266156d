"""The order's lifecycle: place, confirm, reject, cancel. The only writer of orders.

Guarantee: an order and its `order.created.v1` commit together (I1); a status changes by one guarded UPDATE over the
whole batch, pending → ended, whose RETURNING decides what is published, each event under the order's own lock and
sequence (I12). What was ended before is left as it is. Each function runs in its caller's transaction, or in its own.
Not guaranteed: that stock, money and parcel agree with the status; the saga sees to that, and the audit checks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from inventory import selectors as inventory
from outbox.money import to_decimal_string
from outbox.publisher import Publication, publish, publish_all
from outbox.registry import Event

from . import telemetry
from .events import Item, OrderCancelled, OrderConfirmed, OrderCreated, OrderRefunded, OrderRejected
from .exceptions import PriceDifference, PricesDiffer, UnknownProducts
from .models import Order, OrderLine
from .selectors import OrderState

# Locks in id order, then changes what is still pending; (id, reason) pairs come in as two arrays.
END = """
WITH pending AS MATERIALIZED (
    SELECT id FROM orders_order WHERE id = ANY(%(ids)s) AND status = 'pending' ORDER BY id FOR UPDATE
)
UPDATE orders_order AS orders
SET status = %(status)s, reason = ended.reason, sequence = orders.sequence + 1, ended_at = statement_timestamp()
FROM pending JOIN unnest(%(ids)s::uuid[], %(reasons)s::text[]) AS ended(id, reason) ON ended.id = pending.id
WHERE orders.id = pending.id AND orders.status = 'pending'
RETURNING orders.id, orders.customer_id, orders.total_minor, orders.currency, orders.reason, orders.sequence
"""

# Only refunds that were not announced before, however old the message that tells of them (I5).
ANNOUNCE_REFUNDS = """
WITH refunded AS MATERIALIZED (
    SELECT orders.id, told.refund_id
    FROM orders_order orders JOIN unnest(%s::uuid[], %s::uuid[]) AS told(order_id, refund_id)
      ON orders.id = told.order_id
    ORDER BY orders.id FOR UPDATE OF orders
)
UPDATE orders_order AS orders
SET sequence = orders.sequence + 1, announced_refunds = orders.announced_refunds || refunded.refund_id
FROM refunded
WHERE orders.id = refunded.id AND NOT refunded.refund_id = ANY(orders.announced_refunds)
RETURNING orders.id, orders.customer_id, orders.currency, orders.sequence
"""

# Lines of sagas that are purged, by order; locked in id order, like every batch of orders.
KEEP_SUMMARIES = """
WITH kept AS MATERIALIZED (
    SELECT orders.id, purged.line
    FROM orders_order orders JOIN unnest(%s::uuid[], %s::text[]) AS purged(order_id, line)
      ON orders.id = purged.order_id
    ORDER BY orders.id FOR UPDATE OF orders
)
UPDATE orders_order AS orders SET fulfilment_summary = kept.line FROM kept WHERE orders.id = kept.id
"""


@dataclass(frozen=True, kw_only=True)
class RefundTold:
    """Money that went back: which refund, and how much, as a decimal string."""

    refund_id: UUID
    amount: str


@dataclass(frozen=True, kw_only=True)
class ItemRequest:
    """What a customer wants, and the unit price that they expect, if they said so."""

    sku: str
    quantity: int
    expected_price_minor: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """An order that this transaction has ended."""

    order_id: UUID
    customer_id: int
    total_minor: int
    currency: str
    reason: str
    sequence: int

    @property
    def facts(self) -> dict[str, Any]:
        """What every event about an end tells."""
        return {
            "order_id": str(self.order_id),
            "customer_id": str(self.customer_id),
            "total_amount": to_decimal_string(self.total_minor, self.currency),
            "currency": self.currency,
        }


def place_order(
    *, order_id: UUID, customer_id: int, items: Sequence[ItemRequest], currency: str, payment_method: str
) -> OrderState:
    """Accepts an order at the catalogue's prices and publishes it, in four statements. One line per SKU.

    `order_id` is the caller's choice, made before BEGIN. Raises UnknownProducts, PricesDiffer.
    """
    with transaction.atomic(savepoint=False):
        lines = _price(order_id, items, inventory.prices([item.sku for item in items], currency))
        order = Order.objects.create(
            id=order_id,
            customer_id=customer_id,
            currency=currency,
            total_minor=sum(line.line_total_minor for line in lines),  # I9
            payment_method=payment_method,
        )
        OrderLine.objects.bulk_create(lines)
        publish(_created(order, lines), aggregate_id=order_id, sequence=order.sequence, correlation_id=order_id)
    return OrderState(order=order, lines=lines)


def confirm_orders(order_ids: Collection[UUID]) -> set[UUID]:
    """Ends pending orders well; returns those that were pending until now."""
    return _end(dict.fromkeys(order_ids, ""), Order.Status.CONFIRMED, lambda ended: OrderConfirmed(**ended.facts))


def reject_orders(reasons: Mapping[UUID, str]) -> set[UUID]:
    """Ends pending orders that cannot be fulfilled, each with its reason; returns those that were pending until now."""
    return _end(reasons, Order.Status.REJECTED, lambda ended: OrderRejected(**ended.facts, reason=ended.reason))


def cancel_orders(order_ids: Collection[UUID]) -> set[UUID]:
    """Ends pending orders at their customers' wish; returns those that were pending until now."""
    return _end(
        dict.fromkeys(order_ids, "customer"), Order.Status.CANCELLED, lambda ended: OrderCancelled(**ended.facts)
    )


def announce_refunds(refunds: Mapping[UUID, RefundTold]) -> None:
    """Publishes that money went back, by order id, once per refund; each under its order's next sequence (I12)."""
    order_ids = sorted(refunds)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(ANNOUNCE_REFUNDS, [order_ids, [refunds[order_id].refund_id for order_id in order_ids]])
        publish_all(
            [
                Publication(
                    event=OrderRefunded(
                        order_id=str(order_id),
                        customer_id=str(customer_id),
                        total_amount=refunds[order_id].amount,
                        currency=currency,
                    ),
                    aggregate_id=order_id,
                    sequence=sequence,
                    correlation_id=order_id,
                )
                for order_id, customer_id, currency, sequence in sorted(cursor.fetchall())
            ]
        )


def keep_summaries(lines: Mapping[UUID, str]) -> None:
    """Keeps what is left of purged sagas, by order id, in the transaction that purges them; publishes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(KEEP_SUMMARIES, [list(lines), list(lines.values())])


def _price(order_id: UUID, items: Sequence[ItemRequest], prices: Mapping[str, inventory.Price]) -> list[OrderLine]:
    if unknown := [item.sku for item in items if item.sku not in prices]:
        raise UnknownProducts(unknown)
    differences = {
        item.sku: PriceDifference(
            expected_minor=item.expected_price_minor, actual_minor=prices[item.sku].unit_price_minor
        )
        for item in items
        if item.expected_price_minor not in (None, prices[item.sku].unit_price_minor)
    }
    if differences:
        raise PricesDiffer(differences)
    return [_line(order_id, item, prices[item.sku].unit_price_minor) for item in items]


def _line(order_id: UUID, item: ItemRequest, unit_price_minor: int) -> OrderLine:
    return OrderLine(
        order_id=order_id,
        sku=item.sku,
        quantity=item.quantity,
        unit_price_minor=unit_price_minor,
        line_total_minor=item.quantity * unit_price_minor,
    )


def _created(order: Order, lines: Sequence[OrderLine]) -> OrderCreated:
    return OrderCreated(
        order_id=str(order.id),
        customer_id=str(order.customer_id),
        total_amount=to_decimal_string(order.total_minor, order.currency),
        currency=order.currency,
        items=[Item(productId=line.sku, qty=line.quantity) for line in lines],
    )


def _end(reasons: Mapping[UUID, str], status: Order.Status, event: Callable[[Ended], Event]) -> set[UUID]:
    if not reasons:
        return set()
    with transaction.atomic(savepoint=False):
        ended = _end_pending(reasons, status)
        publish_all(
            [
                Publication(
                    event=event(order),
                    aggregate_id=order.order_id,
                    sequence=order.sequence,
                    correlation_id=order.order_id,
                )
                for order in ended
            ]
        )
    telemetry.ORDERS_ENDED.labels(status.value).inc(len(ended))
    return {order.order_id for order in ended}


def _end_pending(reasons: Mapping[UUID, str], status: Order.Status) -> list[Ended]:
    with connection.cursor() as cursor:
        cursor.execute(END, {"ids": list(reasons), "reasons": list(reasons.values()), "status": status.value})
        rows = cursor.fetchall()
    return [
        Ended(order_id=row[0], customer_id=row[1], total_minor=row[2], currency=row[3], reason=row[4], sequence=row[5])
        for row in sorted(rows)
    ]
