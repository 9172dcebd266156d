"""A charge or a parcel that turned up after its order's saga had settled that there is none: it is undone (F13).

Guarantee: net zero, through the saga that began it and under its keys (I3), be that saga under way, ended or purged.
Not guaranteed: anything for an order that was confirmed, or that does not exist: what stands there waits for a person.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from sagas import late
from sagas.decisions import CANCELLED

from . import fulfilment
from .models import Order
from .selectors import FULFILMENT

UNFULFILLED = (Order.Status.REJECTED, Order.Status.CANCELLED)


def undo(step: str, keys: Mapping[UUID, str]) -> set[UUID]:
    """Has the step undone for these orders, in the caller's transaction; `keys` are its provider keys by order id.

    Safe to repeat. Returns the orders for which nobody can: without a saga, and not ended unfulfilled.
    """
    orphans = late.adopt_of_subjects(FULFILMENT, step, sorted(keys))
    purged = [_purged(order, saga_id) for order, saga_id in _ended(step, {one: keys[one] for one in orphans})]
    late.revive(FULFILMENT, step, purged)
    return orphans - {one.subject_id for one in purged}


def _ended(step: str, keys: Mapping[UUID, str]) -> Collection[tuple[Order, UUID]]:
    """Orders that ended without their saga's effects, each with the id of the saga that its key names."""
    if not keys:
        return []
    orders = Order.objects.filter(pk__in=keys, status__in=UNFULFILLED).order_by("pk").prefetch_related("lines")
    return [(order, saga_id) for order in orders if (saga_id := late.saga_of_key(keys[order.pk], step))]


def _purged(order: Order, saga_id: UUID) -> late.Purged:
    reason = CANCELLED if order.status == Order.Status.CANCELLED else order.reason
    return late.Purged(saga_id=saga_id, subject_id=order.pk, data=fulfilment.data_of(order), reason=reason)
