"""Charges: note, call, probe, record, forget.

Guarantees: the row exists before the call; one key, one row, one amount (I3); what the provider answered is written
whoever asks it to be, and a fact never gives way to a lesser one; every function is safe to repeat.
Does not guarantee that the call was made: a noted charge may have died with its process. The probe tells.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from outbox.money import to_decimal_string
from outbox.publisher import Publication, publish_all
from outbox.registry import Event
from payments.events import PaymentCharged, PaymentChargedLate, PaymentDeclined
from payments.exceptions import KeyReused, LivePaymentExists
from payments.gateways.base import ChargeIntent, ChargeReceipt
from payments.models import Payment, PaymentStatus
from payments.services.provider import gateway
from payments.services.rows import insert_payments, lock_payments, write_payments
from providers.backend import ask
from providers.errors import Refused, Unavailable
from providers.rows import move, statuses


@dataclass(frozen=True, kw_only=True)
class ChargeRequest:
    """`saga_key` becomes the provider's idempotency key: the same for every attempt, another for every operation."""

    order_id: UUID
    saga_key: str
    amount_minor: int
    currency: str
    payment_method: str


def note_charges(requests: Sequence[ChargeRequest]) -> dict[UUID, ChargeIntent]:
    """Writes down what will be asked for, before it is asked; returns the intents by order id.

    In the caller's transaction, one statement for any number of new ones. Noted again, a charge keeps its row.
    Raises LivePaymentExists for a second live payment of an order, KeyReused for a key with another content.
    """
    fresh = [_new_payment(request) for request in requests]
    # Conflicts on the key are repeats. One on the order (I3) leaves no row under the key, which shows below.
    written = insert_payments(fresh)
    rows = {row.provider_key: row for row in fresh if row.pk in written}
    rows |= _lock_by_key([request.saga_key for request in requests if request.saga_key not in rows])
    for request in requests:
        _check_same(request, rows.get(request.saga_key))
    return {row.order_id: _intent(row) for row in rows.values()}


def intents_of(payment_ids: Collection[UUID]) -> dict[UUID, ChargeIntent]:
    """Intents by payment id, to probe with; notes nothing, so no call may follow. One query."""
    return {row.pk: _intent(row) for row in Payment.objects.filter(pk__in=payment_ids)}


def charge(intent: ChargeIntent) -> ChargeReceipt:
    """Captures the money. Network only; raises Refused, Unavailable or OutcomeUnknown."""
    return gateway().charge(intent)


def find_charge(intent: ChargeIntent) -> ChargeReceipt | None:
    """The probe, by key: what happened, or None for "the provider knows no such key".

    Network only; raises Refused for a charge that the provider refused, OutcomeUnknown when it could not be asked.
    None proves that nothing will happen only once the last call is older than the in-flight horizon (I13).
    """
    return ask(lambda: gateway().find_charge(intent))


def record_charges(answers: Sequence[tuple[ChargeIntent, object]]) -> None:
    """Writes facts: receipts, or what was raised instead. In the caller's transaction, three statements for any number.

    An answer that is neither a receipt, Refused nor Unavailable leaves the outcome unknown.
    """
    rows = lock_payments([intent.payment_id for intent, _ in answers])
    before = statuses(rows)
    publications: list[Publication] = []
    for intent, answer in answers:
        row = rows[intent.payment_id]
        if event := _apply(row, answer):
            publications.append(_publication(row, event))
    write_payments(rows, before=before)
    publish_all(publications)


def forget_charges(intents: Sequence[ChargeIntent]) -> set[UUID]:
    """Settles charges as absent: the probe proved that nothing happened, and nobody will ask for them again.

    Returns the ids of the orders that have no charge now. One that is missing was captured meanwhile (a webhook came):
    it must be undone, not forgotten. A capture found after this makes the payment `late`.
    """
    rows = lock_payments([intent.payment_id for intent in intents])
    before = statuses(rows)
    for row in rows.values():
        move(row, PaymentStatus.ABSENT)
    write_payments(rows, before=before)
    return {row.order_id for row in rows.values() if row.status in (PaymentStatus.ABSENT, PaymentStatus.DECLINED)}


def _apply(row: Payment, answer: object) -> Event | None:
    """Changes a locked row to what the answer says, where that is more than it knows; returns the event to publish."""
    match answer:
        case ChargeReceipt():
            return _apply_receipt(row, answer)
        case Refused():
            if move(row, PaymentStatus.DECLINED):
                row.reason = answer.reason
                return PaymentDeclined(payment_id=row.pk, order_id=row.order_id, reason=answer.reason)
        case Unavailable():
            pass  # nothing happened: what was known still holds
        case _:
            if move(row, PaymentStatus.UNKNOWN):
                row.reason = str(answer)
    return None


def _apply_receipt(row: Payment, receipt: ChargeReceipt) -> Event | None:
    moved = move(row, PaymentStatus.CAPTURED, PaymentStatus.LATE)
    if moved is None:
        return None
    row.captured_minor = receipt.amount_minor
    row.provider_reference = receipt.provider_reference
    row.reason = ""
    charged = PaymentChargedLate if moved == PaymentStatus.LATE else PaymentCharged
    return charged(
        payment_id=row.pk,
        order_id=row.order_id,
        provider_reference=receipt.provider_reference,
        amount=to_decimal_string(receipt.amount_minor, row.currency),
        currency=row.currency,
    )


def _publication(row: Payment, event: Event) -> Publication:
    row.sequence += 1
    return Publication(event=event, aggregate_id=row.pk, sequence=row.sequence, correlation_id=row.order_id)


def _new_payment(request: ChargeRequest) -> Payment:
    return Payment(
        order_id=request.order_id,
        provider_key=request.saga_key,
        amount_minor=request.amount_minor,
        currency=request.currency,
        payment_method=request.payment_method,
    )


def _lock_by_key(keys: Sequence[str]) -> dict[str, Payment]:
    rows = Payment.objects.select_for_update().filter(provider_key__in=keys).order_by("pk")
    return {row.provider_key: row for row in rows}


def _check_same(request: ChargeRequest, row: Payment | None) -> None:
    if row is None:
        raise LivePaymentExists(f"order {request.order_id} has a live payment under another key")
    noted = (row.order_id, row.amount_minor, row.currency, row.payment_method)
    if noted != (request.order_id, request.amount_minor, request.currency, request.payment_method):
        raise KeyReused(f"key {request.saga_key} was noted for something else")


def _intent(row: Payment) -> ChargeIntent:
    return ChargeIntent(
        payment_id=row.pk,
        order_id=row.order_id,
        provider_key=row.provider_key,
        amount_minor=row.amount_minor,
        currency=row.currency,
        payment_method=row.payment_method,
    )
