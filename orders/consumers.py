"""order.created.v1 starts the fulfilment; what payments find out later comes back to the order."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from outbox.consumer import consumer
from outbox.envelope import Message
from outbox.exceptions import Hopeless
from payments import selectors as payments
from payments.events import PaymentChargedLate, PaymentRefunded
from sagas import lifecycle as sagas
from shipping import selectors as shipping
from shipping.events import ShipmentCreatedLate

from . import fulfilment, late_success, services
from .events import OrderCreated
from .models import Order
from .sagas import CHARGE_PAYMENT, CREATE_SHIPMENT, FULFIL_ORDER
from .selectors import to_fulfil


@consumer("orders.start_fulfilment", event=OrderCreated)
def start_fulfilment(messages: Sequence[Message]) -> None:
    """Starts one saga per pending order. The orders are locked first, so that a cancel that found no saga, and one
    that is about to, see each other; an order that was cancelled before it began starts none."""
    order_ids = [UUID(message.payload["orderId"]) for message in messages]
    orders = to_fulfil(order_ids)
    if missing := set(order_ids) - {order.pk for order, _ in orders}:
        raise Hopeless(f"no such order: {', '.join(map(str, sorted(missing)))}")
    pending = [(order, wanted) for order, wanted in orders if order.status == Order.Status.PENDING]
    sagas.start(FULFIL_ORDER, [(order.pk, fulfilment.data_of(order, wanted)) for order, wanted in pending])


@consumer("orders.undo_late_charge", event=PaymentChargedLate)
def undo_late_charge(messages: Sequence[Message]) -> None:
    """A charge that the saga had given up as absent was found after all, by a webhook or a comparison of the books: it
    is refunded (F13)."""
    keys = payments.provider_keys([UUID(message.payload["paymentId"]) for message in messages])
    _undo(CHARGE_PAYMENT, keys, what="charged")


@consumer("orders.undo_late_shipment", event=ShipmentCreatedLate)
def undo_late_shipment(messages: Sequence[Message]) -> None:
    """The same for a parcel: it is cancelled (F13)."""
    keys = shipping.provider_keys([UUID(message.payload["shipmentId"]) for message in messages])
    _undo(CREATE_SHIPMENT, keys, what="shipped")


def _undo(step: str, keys: Mapping[UUID, str], *, what: str) -> None:
    """When nobody is left to undo it but a person, the message dies, visibly (I4)."""
    if orphans := late_success.undo(step, keys):
        raise Hopeless(f"{what}, and no saga left to undo it: {', '.join(map(str, sorted(orphans)))}")


@consumer("orders.announce_refund", event=PaymentRefunded)
def announce_refund(messages: Sequence[Message]) -> None:
    """The customer's order says that their money went back; the notice follows from that."""
    services.announce_refunds({UUID(m.payload["orderId"]): _refund_told(m.payload) for m in messages})


def _refund_told(payload: Mapping[str, Any]) -> services.RefundTold:
    return services.RefundTold(refund_id=UUID(payload["refundId"]), amount=payload["amount"])
