"""What may be done about a difference without a person: only what can be proved, and only through the services.

- It happened over there (or was refused) and our row does not know: the provider is asked again, and what it answers is
  recorded as any answer is. The saga goes on, or, when it had settled otherwise, undoes it (F13).
- It stands there under a key of ours and we have no row: the row is written, settled as absent, and then asked about,
  so that it is found late and undone. Only for an order that ended unfulfilled, and under its saga's own key (I3).
- It stands there, we know it, and its order ended without it: its saga undoes it.

All else waits for a person: what only we say happened, other amounts, what was undone behind our back.
Guarantee: what must follow is a message of the caller's transaction; a repair that is asked for twice is done once.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from orders import late_success
from outbox.publisher import publish
from outbox.registry import Event
from payments.events import PaymentDoubted, RefundDoubted
from shipping.events import CancellationDoubted, ShipmentDoubted

from .books import book
from .comparison import Difference
from .conf import reconciliation
from .models import Difference as Kept

# After so many the difference waits for a person: something keeps the books apart.
REPAIRS_MAX: Final = 5

Kind = Kept.Kind


def is_due(row: Kept, *, wait: timedelta) -> bool:
    """Whether a repair may be asked for now: never again before the last one can have taken effect.

    An orphan is left alone for as long from when it was first seen, by our own clock: the provider's decides nothing.
    """
    due = Q(repair_asked_at__lt=Now() - wait) | Q(repair_asked_at=None)
    if row.kind == Kind.THEIRS_ONLY:
        due &= Q(first_seen_at__lte=Now() - wait)
    return Kept.objects.filter(due, pk=row.pk, repairs__lt=REPAIRS_MAX).exists()


def is_left_alone(row: Kept) -> bool:
    """Whether this is an orphan that is too young for a repair, or has not met a tick since it no longer is."""
    of = book(row.object)
    wait = of.settled_time(at_rest=False) + timedelta(seconds=reconciliation().interval_seconds)
    return (
        row.kind == Kind.THEIRS_ONLY and bool(of.step) and not row.repairs and timezone.now() - row.first_seen_at < wait
    )


def ask(difference: Difference) -> Kept.Repair:
    """Asks for the repair of this difference, in the caller's transaction; NONE when it waits for a person."""
    match difference.kind:
        case Kind.THEIRS_ONLY:
            return _claim(difference)
        case Kind.STATE | Kind.LATE_CAPTURE | Kind.LATE_PARCEL if not _happened_here(difference):
            return _doubt(difference, difference.row_id)
        case Kind.LATE_CAPTURE | Kind.LATE_PARCEL:
            return _undo(difference)
    return Kept.Repair.NONE


def _happened_here(difference: Difference) -> bool:
    return difference.ours is not None and difference.ours.status in book(difference.object).happened


def _doubt(difference: Difference, row_id: UUID | None) -> Kept.Repair:
    """The service asks the provider again, by its probe: what it answers becomes the fact."""
    if row_id is None or difference.order_id is None:
        return Kept.Repair.NONE
    doubt_id = uuid7()
    publish(
        _doubted(difference.object, row_id),
        aggregate_id=doubt_id,
        sequence=None,
        correlation_id=difference.order_id,
    )
    return Kept.Repair.ASK


def _doubted(of: str, row_id: UUID) -> Event:
    match of:
        case "charge":
            return PaymentDoubted(payment_id=row_id)
        case "refund":
            return RefundDoubted(refund_id=row_id)
        case "shipment":
            return ShipmentDoubted(shipment_id=row_id)
    return CancellationDoubted(cancellation_id=row_id)


def _claim(difference: Difference) -> Kept.Repair:
    """A row for what stands under a key of ours; asked about, it is found late, and its order's saga undoes it."""
    if difference.order_id is None or difference.theirs is None:
        return Kept.Repair.NONE
    row_id = late_success.claim_orphan(
        book(difference.object).step,
        order_id=difference.order_id,
        key=difference.provider_key,
        amount_minor=difference.theirs.amount_minor,
        currency=difference.theirs.currency,
    )
    return Kept.Repair.CLAIM if _doubt(difference, row_id) else Kept.Repair.NONE


def _undo(difference: Difference) -> Kept.Repair:
    if difference.order_id is None:
        return Kept.Repair.NONE
    left = late_success.undo(book(difference.object).step, {difference.order_id: difference.provider_key})
    return Kept.Repair.NONE if left else Kept.Repair.UNDO
