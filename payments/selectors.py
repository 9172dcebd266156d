"""Reads: what may be shown of payments, many orders at once."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from outbox.money import to_decimal_string
from payments.models import Payment, Refund


def for_orders(order_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The newest payment of each order that has one, by order id: status, amount, refunded, currency. One query."""
    # Index payment_by_order; ids are in time order, so the newest row wins.
    rows = Payment.objects.filter(order_id__in=order_ids).order_by("pk")
    return {row.order_id: _shown(row) for row in rows}


def id_of_key(provider_key: str) -> tuple[UUID, UUID] | None:
    """Payment id and order id behind a provider key, or None for a key that is not ours. The unique index."""
    return Payment.objects.filter(provider_key=provider_key).values_list("pk", "order_id").first()


def provider_keys(payment_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The provider keys of these payments, by order id. The primary key."""
    return dict(Payment.objects.filter(pk__in=payment_ids).values_list("order_id", "provider_key"))


def history_of(order_id: UUID) -> tuple[list[Payment], list[Refund]]:
    """Every payment and refund of an order, oldest first. Indexes payment_by_order, refund_by_order."""
    payments = Payment.objects.filter(order_id=order_id).order_by("pk")
    return list(payments), list(Refund.objects.filter(order_id=order_id).order_by("pk"))


def _shown(row: Payment) -> dict[str, Any]:
    return {
        "status": row.status,
        "amount": to_decimal_string(row.amount_minor, row.currency),
        "refunded": to_decimal_string(row.refunded_minor, row.currency),
        "currency": row.currency,
    }
