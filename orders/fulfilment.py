"""Between the order and the participants of its fulfilment: the saga's data, and what each participant is asked.

The saga keeps a copy of what it needs, so a step never reads the order's tables.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from payments.services import (
    ChargeIntent,
    ChargeReceipt,
    ChargeRequest,
    RefundIntent,
    RefundReceipt,
    RefundRequest,
)
from providers.errors import ProviderError
from sagas.definition import StepRun
from shipping.services import (
    CancellationIntent,
    CancellationReceipt,
    CancellationRequest,
    ShipmentIntent,
    ShipmentReceipt,
    ShipmentRequest,
)

from .models import Order


def data_of(order: Order, wanted: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """What the saga of this order starts with; `wanted` are its lines, as SKU and quantity."""
    return {
        "lines": [list(line) for line in wanted],
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "payment_method": order.payment_method,
    }


def lines(data: Mapping[str, Any]) -> Sequence[tuple[str, int]]:
    return [(sku, quantity) for sku, quantity in data["lines"]]


def charge_request(run: StepRun) -> ChargeRequest:
    return ChargeRequest(
        order_id=run.subject_id,
        saga_key=run.key,
        amount_minor=run.data["amount_minor"],
        currency=run.data["currency"],
        payment_method=run.data["payment_method"],
    )


def refund_request(run: StepRun) -> RefundRequest:
    return RefundRequest(order_id=run.subject_id, saga_key=run.key)


def shipment_request(run: StepRun) -> ShipmentRequest:
    return ShipmentRequest(order_id=run.subject_id, saga_key=run.key, lines=lines(run.data))


def cancellation_request(run: StepRun) -> CancellationRequest:
    return CancellationRequest(order_id=run.subject_id, saga_key=run.key)


def retry_after(error: ProviderError) -> timedelta | None:
    seconds = error.retry_after_seconds
    return timedelta(seconds=seconds) if seconds else None


def receipt_of_charge(intent: ChargeIntent, reference: str) -> ChargeReceipt:
    """What an operator's `resolve` stands for, like the three below: exactly what was asked for, under a reference."""
    return ChargeReceipt(provider_reference=reference, amount_minor=intent.amount_minor, currency=intent.currency)


def receipt_of_refund(intent: RefundIntent, reference: str) -> RefundReceipt:
    return RefundReceipt(provider_reference=reference, amount_minor=intent.amount_minor, currency=intent.currency)


def receipt_of_shipment(_: ShipmentIntent, reference: str) -> ShipmentReceipt:
    return ShipmentReceipt(provider_reference=reference, tracking_number=reference)


def receipt_of_cancellation(_: CancellationIntent, reference: str) -> CancellationReceipt:
    return CancellationReceipt(provider_reference=reference)
