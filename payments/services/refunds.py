"""Refunds: note, call, probe, record. Always of everything that is left of a payment.

Guarantees: never more than was captured (I3, a CHECK); no refund is asked for while it is unknown whether there was a
charge (I13); one key, one row; every function is safe to repeat.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from outbox.money import to_decimal_string
from outbox.publisher import Publication, publish_all
from payments.events import PaymentRefunded
from payments.exceptions import KeyReused, PaymentUnresolved
from payments.gateways.base import RefundIntent, RefundReceipt
from payments.models import REFUNDABLE, Payment, PaymentStatus, Refund, RefundStatus
from payments.services.provider import gateway
from payments.services.rows import lock_payments, lock_refunds, write_payments, write_refunds
from providers.backend import ask
from providers.errors import Refused, Unavailable
from providers.rows import move, statuses

UNRESOLVED = (PaymentStatus.PENDING, PaymentStatus.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class RefundRequest:
    order_id: UUID
    saga_key: str


def note_refunds(requests: Sequence[RefundRequest]) -> dict[UUID, RefundIntent]:
    """Writes refunds down before they are asked for; an order with nothing left to refund is not in the answer.

    In the caller's transaction. Raises PaymentUnresolved while a charge of such an order is unknown (I13), KeyReused.
    """
    payments = _lock_payments_of([request.order_id for request in requests])
    known = _lock_by_key([request.saga_key for request in requests])
    fresh: list[Refund] = []
    for request in requests:
        if request.saga_key in known:
            _check_same(request, known[request.saga_key])
        elif payment := _refundable(payments.get(request.order_id, [])):
            fresh.append(_new_refund(request, payment))
    Refund.objects.bulk_create(fresh)
    by_id = {payment.pk: payment for rows in payments.values() for payment in rows}
    return {row.order_id: _intent(row, by_id[row.payment_id]) for row in [*known.values(), *fresh]}


def refund_intents_of(refund_ids: Collection[UUID]) -> dict[UUID, RefundIntent]:
    """Intents by refund id, to probe with; notes nothing, so no call may follow. One query."""
    rows = Refund.objects.filter(pk__in=refund_ids).select_related("payment")
    return {row.pk: _intent(row, row.payment) for row in rows}


def refund(intent: RefundIntent) -> RefundReceipt:
    """Gives the money back. Network only; raises Refused, Unavailable or OutcomeUnknown."""
    return gateway().refund(intent)


def find_refund(intent: RefundIntent) -> RefundReceipt | None:
    """The probe, by key; as `charges.find_charge`."""
    return ask(lambda: gateway().find_refund(intent))


def record_refunds(answers: Sequence[tuple[RefundIntent, object]]) -> None:
    """Writes facts, on the refund and on its payment. In the caller's transaction, five statements for any number."""
    payments = lock_payments([intent.payment_id for intent, _ in answers])
    refunds = lock_refunds([intent.refund_id for intent, _ in answers])
    payments_before, refunds_before = statuses(payments), statuses(refunds)
    publications: list[Publication] = []
    for intent, answer in answers:
        row = refunds[intent.refund_id]
        if _apply(row, answer) == RefundStatus.REFUNDED:
            publications.append(_give_back(payments[intent.payment_id], row))
    write_refunds(refunds, before=refunds_before)
    write_payments(payments, before=payments_before)
    publish_all(publications)


def _apply(row: Refund, answer: object) -> str | None:
    """Changes a locked row to what the answer says, where that is more than it knows; returns the status it took."""
    match answer:
        case RefundReceipt():
            moved, row.reason = move(row, RefundStatus.REFUNDED), ""
            row.provider_reference = answer.provider_reference
        case Refused():
            moved, row.reason = move(row, RefundStatus.REFUSED), answer.reason
        case Unavailable():
            moved = None  # nothing happened: what was known still holds
        case _:
            moved, row.reason = move(row, RefundStatus.UNKNOWN), str(answer)
    return moved


def _give_back(payment: Payment, row: Refund) -> Publication:
    payment.refunded_minor += row.amount_minor  # all that was left, so the payment is refunded whole
    move(payment, PaymentStatus.REFUNDED)
    payment.sequence += 1
    event = PaymentRefunded(
        payment_id=payment.pk,
        order_id=payment.order_id,
        refund_id=row.pk,
        amount=to_decimal_string(row.amount_minor, payment.currency),
        currency=payment.currency,
    )
    return Publication(event=event, aggregate_id=payment.pk, sequence=payment.sequence, correlation_id=payment.order_id)


def _lock_payments_of(order_ids: Sequence[UUID]) -> dict[UUID, list[Payment]]:
    rows: dict[UUID, list[Payment]] = {}
    for row in Payment.objects.select_for_update().filter(order_id__in=order_ids).order_by("pk"):
        rows.setdefault(row.order_id, []).append(row)
    return rows


def _lock_by_key(keys: Sequence[str]) -> dict[str, Refund]:
    rows = Refund.objects.select_for_update().filter(provider_key__in=keys).order_by("pk")
    return {row.provider_key: row for row in rows}


def _refundable(payments: Sequence[Payment]) -> Payment | None:
    unresolved = [row for row in payments if row.status in UNRESOLVED]
    if unresolved:
        raise PaymentUnresolved(f"payment {unresolved[0].pk} is {unresolved[0].status}")
    return next((row for row in payments if row.status in REFUNDABLE), None)


def _check_same(request: RefundRequest, row: Refund) -> None:
    if row.order_id != request.order_id:
        raise KeyReused(f"key {request.saga_key} was noted for another order")


def _new_refund(request: RefundRequest, payment: Payment) -> Refund:
    return Refund(
        payment=payment,
        order_id=request.order_id,
        provider_key=request.saga_key,
        amount_minor=payment.captured_minor - payment.refunded_minor,
    )


def _intent(row: Refund, payment: Payment) -> RefundIntent:
    return RefundIntent(
        refund_id=row.pk,
        payment_id=payment.pk,
        order_id=row.order_id,
        provider_key=row.provider_key,
        charge_reference=payment.provider_reference,
        amount_minor=row.amount_minor,
        currency=payment.currency,
    )
