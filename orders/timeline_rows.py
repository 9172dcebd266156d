"""What each app's rows say in a timeline: a function per kind of row, none of which reads anything.

Guarantee: no payment token, payload or recipient stands in an entry; outputs of steps are masked where they are read.
Rows come from their apps' selectors and are used by their columns: no other app's models are imported here.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from idempotency.selectors import masked_key
from outbox.money import to_decimal_string
from sagas.selectors import Run, StepReading

from .models import Order
from .timeline_entries import Entry, Kind, Row

# A row that may still become something else has not ended.
UNSETTLED = frozenset({"pending", "unknown"})


def of_order(order: Order) -> Iterator[Entry]:
    """Its beginning, its customer's wish to cancel it, and its end."""
    row = Row(table="orders_order", id=str(order.pk))
    facts = {"total": to_decimal_string(order.total_minor, order.currency), "currency": order.currency}
    yield _instant(Kind.ORDER, "placed", order.placed_at, facts=facts, row=row)
    if order.cancel_requested_at:
        yield _instant(Kind.ORDER, "cancel requested", order.cancel_requested_at, row=row)
    if order.ended_at:
        facts = {"reason": order.reason} if order.reason else {}
        yield _instant(Kind.ORDER, order.status, order.ended_at, status=order.status, facts=facts, row=row)


def of_key(use: Any) -> Iterator[Entry]:
    """The use of the key that placed the order, if there was one and it is not purged. Replays leave no row."""
    if use is not None:
        yield _instant(
            Kind.KEY,
            masked_key(use.key),
            use.created_at,
            status="expired" if use.has_expired else "kept",
            facts={"status_code": use.status_code, "expires_at": use.expires_at},
            row=Row(table="idempotency_idempotencykey", id=str(use.pk)),
        )


def of_saga(saga: Any, steps: Sequence[StepReading]) -> Iterator[Entry]:
    """Each step that ran, and each compensation."""
    row = Row(table="sagas_saga", id=str(saga.pk))
    for step in steps:
        yield from _run(Kind.STEP, step, step.action, row)
        if step.undo:
            yield from _run(Kind.COMPENSATION, step, step.undo, row)


def _run(kind: Kind, step: StepReading, run: Run, row: Row) -> Iterator[Entry]:
    # A retry by hand begins the count, and the time, anew; a step that was skipped may have no beginning at all.
    began_at = run.started_at or run.called_at or run.finished_at
    if began_at is None:
        return
    facts: dict[str, Any] = dict(run.output or {})
    if step.provider:
        facts["provider"] = step.provider
    if run.called_at:
        facts["last_call_at"] = run.called_at
    yield Entry(
        kind=kind,
        name=step.name,
        status=run.status,
        began_at=began_at,
        ended_at=run.finished_at,
        attempts=run.attempts,
        facts=facts,
        error=run.error,
        row=row,
    )


def of_payments(payments: Sequence[Any], refunds: Sequence[Any]) -> Iterator[Entry]:
    """From when it was noted, before the provider was asked, to its last change."""
    currencies = {payment.pk: payment.currency for payment in payments}
    for payment in payments:
        facts = _amount(payment.amount_minor, payment.currency)
        if payment.refunded_minor:
            facts["refunded"] = to_decimal_string(payment.refunded_minor, payment.currency)
        yield _provider_row(Kind.PAYMENT, "charge", payment, table="payments_payment", facts=facts)
    for refund in refunds:
        facts = _amount(refund.amount_minor, currencies[refund.payment_id])
        yield _provider_row(Kind.REFUND, "refund", refund, table="payments_refund", facts=facts)


def of_parcels(shipments: Sequence[Any], cancellations: Sequence[Any]) -> Iterator[Entry]:
    """The same at the carrier."""
    for shipment in shipments:
        facts = {"tracking_number": shipment.tracking_number} if shipment.tracking_number else {}
        yield _provider_row(Kind.SHIPMENT, "parcel", shipment, table="shipping_shipment", facts=facts)
    for cancellation in cancellations:
        yield _provider_row(Kind.CANCELLATION, "cancellation", cancellation, table="shipping_cancellation", facts={})


def _provider_row(kind: Kind, name: str, row: Any, *, table: str, facts: Mapping[str, Any]) -> Entry:
    references = {"reason": row.reason, "provider_reference": row.provider_reference, "provider_key": row.provider_key}
    return Entry(
        kind=kind,
        name=name,
        status=row.status,
        began_at=row.created_at,
        ended_at=None if row.status in UNSETTLED else row.updated_at,
        facts={**facts, **{what: said for what, said in references.items() if said}},
        row=Row(table=table, id=str(row.pk)),
    )


def of_reservations(reservations: Sequence[Any]) -> Iterator[Entry]:
    for reservation in reservations:
        yield Entry(
            kind=Kind.RESERVATION,
            name=f"{reservation.quantity} × {reservation.sku}",
            status=reservation.state,
            began_at=reservation.created_at,
            ended_at=reservation.ended_at,
            row=Row(table="inventory_reservation", id=str(reservation.pk)),
        )


def of_notifications(notifications: Sequence[Any]) -> Iterator[Entry]:
    """From when it was noted, before the channel was asked, to when it was sent; one that nobody got ends at once."""
    for notice in notifications:
        yield Entry(
            kind=Kind.NOTIFICATION,
            name=notice.kind,
            status=notice.status,
            began_at=notice.noted_at,
            ended_at=notice.sent_at or (None if notice.status in UNSETTLED else notice.noted_at),
            error=notice.error,
            row=Row(table="notifications_notification", id=str(notice.pk)),
        )


def of_messages(messages: Sequence[Any]) -> Iterator[Entry]:
    """From publishing to the end of its delivery. A dead one has not ended: it waits for a person.

    `claims` counts every delivery that began; `attempts` only those that were not given back.
    """
    for message in messages:
        facts = {"destination": message.destination, "message_id": message.message_id, "claims": message.epoch}
        if message.claimed_at:
            facts["last_claim_at"] = message.claimed_at
        if message.state == "open":
            facts["due_at"] = message.due_at
        yield Entry(
            kind=Kind.MESSAGE,
            name=message.type,
            status=message.reading,
            began_at=message.created_at,
            ended_at=message.finished_at,
            attempts=message.attempts,
            facts=facts,
            error=message.last_error,
            row=Row(table="outbox_outboxmessage", id=str(message.key)),
        )


def of_acts(acts: Sequence[Any]) -> Iterator[Entry]:
    for act in acts:
        facts = {
            "who": act.who.get_username() if act.who else "command line",
            "reason": act.reason,
            "target": act.target_type,
            **({"step": step} if (step := act.detail.get("step")) else {}),
            **({"approved by": act.approved_by.get_username()} if act.approved_by else {}),
        }
        row = Row(table="outbox_operatoract", id=str(act.pk))
        yield _instant(Kind.OPERATOR_ACT, act.verb, act.acted_at, facts=facts, row=row)


def _amount(minor: int, currency: str) -> dict[str, Any]:
    return {"amount": to_decimal_string(minor, currency), "currency": currency}


def _instant(
    kind: Kind, name: str, moment: datetime, *, row: Row, status: str = "", facts: Mapping[str, Any] | None = None
) -> Entry:
    return Entry(
        kind=kind, name=name, began_at=moment, ended_at=moment, status=status, facts=facts or {}, row=row
    )  # fmt: skip
