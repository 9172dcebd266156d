"""A charge or a parcel that turned up after its order's saga had settled that there is none: it is undone (F13).

Guarantee: net zero, through the saga that began it and under its keys (I3), be that saga under way, ended or purged.
Not guaranteed: anything for an order that was confirmed, or that does not exist: what stands there waits for a person.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from payments import exceptions as payment_errors
from payments import services as payments
from sagas import late
from sagas import selectors as sagas
from sagas.decisions import CANCELLED
from shipping import exceptions as shipping_errors
from shipping import services as shipping

from . import fulfilment
from .models import Order
from .selectors import FULFILMENT

CHARGE_PAYMENT, CREATE_SHIPMENT = "charge_payment", "create_shipment"
UNFULFILLED = (Order.Status.REJECTED, Order.Status.CANCELLED)


def undo(step: str, keys: Mapping[UUID, str]) -> set[UUID]:
    """Has the step undone for these orders, in the caller's transaction; `keys` are its provider keys by order id.

    Safe to repeat. Returns the orders for which nobody can: without a saga, and not ended unfulfilled.
    """
    orphans = late.adopt_of_subjects(FULFILMENT, step, sorted(keys))
    purged = [_purged(order, saga_id) for order, saga_id in _ended(step, {one: keys[one] for one in orphans})]
    late.revive(FULFILMENT, step, purged)
    return orphans - {one.subject_id for one in purged}


def claim_orphan(step: str, *, order_id: UUID, key: str, amount_minor: int | None, currency: str) -> UUID | None:
    """Writes the row that is missing for what stands at a provider under a key of ours; returns its id.

    Settled as absent: whoever asks about it finds it late, and it is undone. In the caller's transaction. None, and
    nothing written, unless all of it is proved: the key is of this order's saga, the order ended unfulfilled, and what
    stands there is what that saga would have asked for.
    """
    found = [order for order, saga_id in _ended(step, {order_id: key}) if _is_saga_of(order, saga_id)]
    if not found:
        return None
    if step == CHARGE_PAYMENT:
        [order] = found
        return _claim_charge(order, key) if (order.total_minor, order.currency) == (amount_minor, currency) else None
    return _claim_shipment(found[0], key)


def _is_saga_of(order: Order, saga_id: UUID) -> bool:
    """Its saga, or, when that is purged, none other."""
    known = sagas.ids(FULFILMENT, [order.pk])
    return known.get(order.pk, saga_id) == saga_id


def _claim_charge(order: Order, key: str) -> UUID | None:
    request = payments.ChargeRequest(
        order_id=order.pk,
        saga_key=key,
        amount_minor=order.total_minor,
        currency=order.currency,
        payment_method=order.payment_method,
    )
    try:
        intents = payments.note_charges([request])
    except payment_errors.PaymentError:
        return None
    payments.forget_charges(list(intents.values()))
    return intents[order.pk].payment_id


def _claim_shipment(order: Order, key: str) -> UUID | None:
    request = shipping.ShipmentRequest(order_id=order.pk, saga_key=key, lines=_lines(order))
    try:
        intents = shipping.note_shipments([request])
    except shipping_errors.ShippingError:
        return None
    shipping.forget_shipments(list(intents.values()))
    return intents[order.pk].shipment_id


def _ended(step: str, keys: Mapping[UUID, str]) -> Collection[tuple[Order, UUID]]:
    """Orders that ended without their saga's effects, each with the id of the saga that its key names."""
    if not keys:
        return []
    orders = Order.objects.filter(pk__in=keys, status__in=UNFULFILLED).order_by("pk").prefetch_related("lines")
    return [(order, saga_id) for order in orders if (saga_id := late.saga_of_key(keys[order.pk], step))]


def _purged(order: Order, saga_id: UUID) -> late.Purged:
    reason = CANCELLED if order.status == Order.Status.CANCELLED else order.reason
    data = fulfilment.data_of(order, _lines(order))
    return late.Purged(saga_id=saga_id, subject_id=order.pk, data=data, reason=reason)


def _lines(order: Order) -> list[tuple[str, int]]:
    return [(line.sku, line.quantity) for line in order.lines.all()]
