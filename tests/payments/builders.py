"""Payments in the state a test begins with, made through the services."""

from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from uuid_utils.compat import uuid7

from payments import services
from payments.models import Payment


def request(order_id: UUID | None = None, **changes) -> services.ChargeRequest:
    order_id = order_id or uuid7()
    fields: dict[str, Any] = {
        "order_id": order_id,
        "saga_key": f"{uuid4()}:charge_payment",
        "amount_minor": 2_997,
        "currency": "EUR",
        "payment_method": "tok_ok",
    }
    return services.ChargeRequest(**fields | changes)


def note(*requests: services.ChargeRequest) -> list[services.ChargeIntent]:
    with transaction.atomic():
        intents = services.note_charges(requests)
    return [intents[one.order_id] for one in requests]


def noted(**changes) -> services.ChargeIntent:
    return note(request(**changes))[0]


def receipt(intent: services.ChargeIntent) -> services.ChargeReceipt:
    return services.ChargeReceipt(
        provider_reference=f"ch_{uuid4().hex}", amount_minor=intent.amount_minor, currency=intent.currency
    )


def record(*answers: tuple[services.ChargeIntent, object]) -> None:
    with transaction.atomic():
        services.record_charges(answers)


def captured(**changes) -> services.ChargeIntent:
    intent = noted(**changes)
    record((intent, receipt(intent)))
    return intent


def forget(*intents: services.ChargeIntent) -> set[UUID]:
    with transaction.atomic():
        return services.forget_charges(intents)


def note_refund(order_id: UUID, key: str = "") -> services.RefundIntent | None:
    key = key or f"{uuid4()}:charge_payment.undo"
    with transaction.atomic():
        return services.note_refunds([services.RefundRequest(order_id=order_id, saga_key=key)]).get(order_id)


def refund_receipt(intent: services.RefundIntent) -> services.RefundReceipt:
    return services.RefundReceipt(
        provider_reference=f"re_{uuid4().hex}", amount_minor=intent.amount_minor, currency=intent.currency
    )


def record_refund(*answers: tuple[services.RefundIntent, object]) -> None:
    with transaction.atomic():
        services.record_refunds(answers)


def row(intent: services.ChargeIntent | services.RefundIntent) -> Payment:
    return Payment.objects.get(pk=intent.payment_id)
