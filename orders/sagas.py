"""The order's fulfilment, and its undo, on one screen.

    reserve_stock ──▶ charge_payment ──▶ create_shipment ──▶ confirm_order (the pivot)
    release_stock ◀── refund_payment ◀── cancel_shipment

Participants answer or raise; what that means for the order is decided here and nowhere else. The order stays pending
until the saga ends: confirmed by the pivot, or rejected or cancelled when every effect is undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TypeVar
from uuid import UUID

from inventory import services as inventory
from outbox.exceptions import CallOverstayed
from payments import services as payments
from providers import errors
from sagas.consumers import register
from sagas.decisions import CANCELLED
from sagas.definition import Definition, Ended, RemoteAction, Step, StepRun
from sagas.outcomes import Absent, Done, Outcome, Refused, Retry, Unknown
from shipping import services as shipping

from . import fulfilment, services

FULFIL_ORDER = "fulfil_order"
CHARGE_PAYMENT = "charge_payment"
CREATE_SHIPMENT = "create_shipment"
PAYMENT_DECLINED = "payment_declined"
SHIPPING_UNAVAILABLE = "shipping_unavailable"
Intent = TypeVar("Intent")


def reserve_stock(runs: Sequence[StepRun]) -> Mapping[UUID, Outcome]:
    answers = inventory.reserve({run.subject_id: fulfilment.lines(run.data) for run in runs})
    return {run.saga_id: Refused(reason) if (reason := answers[run.subject_id]) else Done() for run in runs}


def release_stock(runs: Sequence[StepRun]) -> Mapping[UUID, Outcome]:
    inventory.release([run.subject_id for run in runs])
    return {run.saga_id: Done() for run in runs}


def confirm_order(runs: Sequence[StepRun]) -> Mapping[UUID, Outcome]:
    """The pivot. An order that is not pending any more is not confirmed, and what was done for it is undone."""
    confirmed = services.confirm_orders([run.subject_id for run in runs])
    inventory.commit(sorted(confirmed))
    return {run.saga_id: Done() if run.subject_id in confirmed else Refused("order_not_pending") for run in runs}


def end_unfulfilled(ended: Sequence[Ended]) -> None:
    """Every effect is undone: now, and not before, the order is cancelled or rejected (I8)."""
    services.cancel_orders([saga.subject_id for saga in ended if saga.reason == CANCELLED])
    services.reject_orders({saga.subject_id: saga.reason for saga in ended if saga.reason != CANCELLED})


def note_charges(runs: Sequence[StepRun]) -> Mapping[UUID, payments.ChargeIntent]:
    intents = payments.note_charges([fulfilment.charge_request(run) for run in runs])
    return {run.saga_id: intents[run.subject_id] for run in runs if run.subject_id in intents}


def record_charges(facts: Sequence[tuple[payments.ChargeIntent, object]]) -> list[Outcome]:
    payments.record_charges(_answered(facts))
    forgotten = payments.forget_charges([intent for intent, fact in facts if isinstance(fact, Absent)])
    return [_after_all(intent, fact, forgotten) or _outcome(fact, refused=PAYMENT_DECLINED) for intent, fact in facts]


def note_refunds(runs: Sequence[StepRun]) -> Mapping[UUID, payments.RefundIntent]:
    intents = payments.note_refunds([fulfilment.refund_request(run) for run in runs])
    return {run.saga_id: intents[run.subject_id] for run in runs if run.subject_id in intents}


def record_refunds(facts: Sequence[tuple[payments.RefundIntent, object]]) -> list[Outcome]:
    payments.record_refunds(_answered(facts))
    return [_outcome(fact, refused="refund_refused") for _, fact in facts]


def note_shipments(runs: Sequence[StepRun]) -> Mapping[UUID, shipping.ShipmentIntent]:
    intents = shipping.note_shipments([fulfilment.shipment_request(run) for run in runs])
    return {run.saga_id: intents[run.subject_id] for run in runs if run.subject_id in intents}


def record_shipments(facts: Sequence[tuple[shipping.ShipmentIntent, object]]) -> list[Outcome]:
    shipping.record_shipments(_answered(facts))
    forgotten = shipping.forget_shipments([intent for intent, fact in facts if isinstance(fact, Absent)])
    return [
        _after_all(intent, fact, forgotten) or _outcome(fact, refused=SHIPPING_UNAVAILABLE) for intent, fact in facts
    ]


def note_cancellations(runs: Sequence[StepRun]) -> Mapping[UUID, shipping.CancellationIntent]:
    intents = shipping.note_cancellations([fulfilment.cancellation_request(run) for run in runs])
    return {run.saga_id: intents[run.subject_id] for run in runs if run.subject_id in intents}


def record_cancellations(facts: Sequence[tuple[shipping.CancellationIntent, object]]) -> list[Outcome]:
    shipping.record_cancellations(_answered(facts))
    return [_outcome(fact, refused="cancellation_refused") for _, fact in facts]


def _answered(facts: Sequence[tuple[Intent, object]]) -> list[tuple[Intent, object]]:
    """What participants said or raised; what the engine concluded from the probe is no answer of theirs."""
    return [(intent, fact) for intent, fact in facts if not isinstance(fact, Absent | Unknown)]


def _after_all(
    intent: payments.ChargeIntent | shipping.ShipmentIntent, fact: object, forgotten: set[UUID]
) -> Done | None:
    """A webhook was faster than the probe: what could not be forgotten has happened."""
    happened = isinstance(fact, Absent) and intent.order_id not in forgotten
    return Done() if happened else None


def _outcome(fact: object, *, refused: str) -> Outcome:
    """The one place where a provider's answer becomes a decision about the saga."""
    match fact:
        case errors.Refused(reason=reason):
            return Refused(refused, error=reason)
        case errors.Unavailable():
            return Retry(str(fact) or "unavailable", after=fulfilment.retry_after(fact))
        case errors.OutcomeUnknown() | CallOverstayed():
            return Unknown(str(fact) or "unknown")
        case Absent() | Unknown():
            return fact
        case (
            payments.ChargeReceipt()
            | payments.RefundReceipt()
            | shipping.ShipmentReceipt()
            | shipping.CancellationReceipt()
        ):
            return Done(asdict(fact))
        case BaseException():
            raise fact
        case _:
            # I13: what nobody has named is no success.
            raise TypeError(f"no answer of a provider: {fact!r}")


CHARGE = RemoteAction(
    note=note_charges,
    call=payments.charge,
    probe=payments.find_charge,
    record=record_charges,
    receipt=fulfilment.receipt_of_charge,
)
REFUND = RemoteAction(
    note=note_refunds,
    call=payments.refund,
    probe=payments.find_refund,
    record=record_refunds,
    receipt=fulfilment.receipt_of_refund,
)
SHIP = RemoteAction(
    note=note_shipments,
    call=shipping.create_shipment,
    probe=shipping.find_shipment,
    record=record_shipments,
    receipt=fulfilment.receipt_of_shipment,
)
CANCEL_SHIPMENT = RemoteAction(
    note=note_cancellations,
    call=shipping.cancel_shipment,
    probe=shipping.find_cancellation,
    record=record_cancellations,
    receipt=fulfilment.receipt_of_cancellation,
)

fulfil_order = register(
    Definition(
        name=FULFIL_ORDER,
        steps=[
            Step(name="reserve_stock", action=reserve_stock, compensation=release_stock),
            Step(
                name=CHARGE_PAYMENT,
                action=CHARGE,
                compensation=REFUND,
                provider="payments",
                gives_up_as="payment_unavailable",
            ),
            Step(
                name=CREATE_SHIPMENT,
                action=SHIP,
                compensation=CANCEL_SHIPMENT,
                provider="shipping",
                gives_up_as=SHIPPING_UNAVAILABLE,
            ),
            Step(name="confirm_order", action=confirm_order, pivot=True),
        ],
        on_compensated=end_unfulfilled,
        on_purged=services.keep_summaries,
    )
)
