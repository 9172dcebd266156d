"""A customer's wish to cancel, decided against the saga that fulfils the order (engine: Cancel).

Guarantee: exactly one of "confirmed" and "cancelled with everything undone" (F16). The saga's row lock decides: the
first to hold it wins. An order whose saga has not started is cancelled on the spot, under the order's own lock, which
the consumer that starts sagas takes before it inserts one: one of the two sees the other.
Not guaranteed: that the order is cancelled when this returns; it is pending until everything is undone.
"""

from typing import Final
from uuid import UUID

from django.db import connection, transaction

from sagas import lifecycle
from sagas import selectors as saga_selectors
from sagas.exceptions import SagaMoves, UnknownDefinition

from . import services
from .exceptions import CancelUndecided, OrderAlreadyEnded
from .models import Order
from .selectors import FULFILMENT

# Each further look means that a saga began between two statements, which can happen once per order.
LOOKS: Final = 3

MARK_REQUESTED = """
UPDATE orders_order SET cancel_requested_at = coalesce(cancel_requested_at, statement_timestamp())
WHERE id = %s AND status = 'pending'
"""


class SagaAppeared(Exception):
    """The consumer that starts sagas was faster: let go of the order and ask the saga."""


@transaction.atomic(savepoint=False)
def request_cancel(order_id: UUID) -> Order.Status:
    """Notes the wish; returns "pending" (it is being undone) or "cancelled". Raises OrderAlreadyEnded, CancelUndecided.

    A repeated wish changes nothing.
    """
    for _ in range(LOOKS):
        try:
            answer = lifecycle.request_cancel(FULFILMENT, order_id)
        except (SagaMoves, UnknownDefinition) as error:
            raise CancelUndecided from error
        if answer == lifecycle.CancelAnswer.NO_SAGA:
            try:
                # A savepoint: given up, it gives up the order's lock too, since a saga's lock comes before an order's.
                with transaction.atomic():
                    _cancel_unstarted(order_id)
            except SagaAppeared:
                continue
        elif answer == lifecycle.CancelAnswer.REQUESTED:
            _mark_requested(order_id)
        return _status_after(order_id)
    raise CancelUndecided


def _cancel_unstarted(order_id: UUID) -> None:
    status = Order.objects.select_for_update().values_list("status", flat=True).get(id=order_id)
    if status != Order.Status.PENDING:
        return
    if saga_selectors.progress(FULFILMENT, [order_id]):
        raise SagaAppeared
    _mark_requested(order_id)
    services.cancel_orders([order_id])


def _mark_requested(order_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MARK_REQUESTED, [order_id])


def _status_after(order_id: UUID) -> Order.Status:
    status = Order.Status(Order.objects.values_list("status", flat=True).get(id=order_id))
    if status not in (Order.Status.PENDING, Order.Status.CANCELLED):
        raise OrderAlreadyEnded(status)
    return status
