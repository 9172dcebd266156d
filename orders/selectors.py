"""Reads of orders: whose they are, and what has become of them, in one query per app however many orders.

Not guaranteed: one moment; each app is read by its own query, and the order may move on between two.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Prefetch, QuerySet
from django.db.models.functions import JSONArray

from payments import selectors as payments
from sagas import selectors as sagas
from shipping import selectors as shipping

from .models import Order, OrderLine

# The saga that fulfils an order (orders/sagas.py).
FULFILMENT = "fulfil_order"

Reading = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class OrderState:
    """An order with everything that its owner may see. `step` is None until its saga has begun."""

    order: Order
    lines: Sequence[OrderLine]
    step: str | None = None
    direction: str = "forward"
    payment: Reading | None = None
    shipment: Reading | None = None

    @property
    def id(self) -> UUID:
        return self.order.id


def visible_to(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Order]:
    """A customer's own orders; all of them for staff. Newest first; index orders_of_a_customer."""
    orders = Order.objects.order_by("-id")
    return orders if getattr(user, "is_staff", False) else orders.filter(customer_id=user.pk)


def with_lines(orders: QuerySet[Order]) -> QuerySet[Order]:
    """The same orders, their lines read in one query, in the order they were sent."""
    return orders.prefetch_related(Prefetch("lines", OrderLine.objects.order_by("id")))


def to_fulfil(order_ids: Collection[UUID]) -> list[tuple[Order, Sequence[tuple[str, int]]]]:
    """These orders, locked in id order, each with its lines as SKU and quantity. One query."""
    lines = OrderLine.objects.filter(order=OuterRef("pk")).order_by("id").annotate(line=JSONArray("sku", "quantity"))
    orders = Order.objects.select_for_update().filter(pk__in=order_ids).order_by("pk")
    return [(order, order.wanted) for order in orders.annotate(wanted=ArraySubquery(lines.values("line")))]


def states(orders: Sequence[Order]) -> list[OrderState]:
    """What has become of these orders, in their order; three queries, and one more where lines were not prefetched."""
    ids = [order.id for order in orders]
    if not ids:
        return []
    progress = sagas.progress(FULFILMENT, ids)
    paid = payments.for_orders(ids)
    shipped = shipping.for_orders(ids)
    return [
        OrderState(
            order=order,
            lines=list(order.lines.all()),
            step=progress[order.id].step if order.id in progress else None,
            direction=progress[order.id].direction if order.id in progress else "forward",
            payment=paid.get(order.id),
            shipment=shipped.get(order.id),
        )
        for order in orders
    ]


def has_order(order_id: UUID) -> bool:
    """Whether an order exists: for a COMMIT whose reply was lost."""
    return Order.objects.filter(id=order_id).exists()
