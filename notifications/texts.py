"""What each kind of notice says."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from .channels.base import Notice
from .models import Notification

Kind = Notification.Kind

SUBJECTS = {
    Kind.CONFIRMED: "Your order is confirmed",
    Kind.REJECTED: "We could not fulfil your order",
    Kind.CANCELLED: "Your order is cancelled",
    Kind.REFUNDED: "Your money is on its way back",
}
BODIES = {
    Kind.CONFIRMED: "Thank you! Your order {order} of {total} {currency} is confirmed and on its way to you.",
    Kind.REJECTED: "We are sorry: order {order} could not be fulfilled ({reason}). You owe nothing for it.",
    Kind.CANCELLED: "As you asked, order {order} is cancelled. You owe nothing for it.",
    Kind.REFUNDED: "We have refunded {total} {currency} for order {order}.",
}
REASONS = {
    "out_of_stock": "a product is out of stock",
    "payment_declined": "the payment was declined",
    "payment_unavailable": "the payment could not be made",
    "shipping_unavailable": "it cannot be shipped",
}


def notice(row: Notification, *, address: str) -> Notice:
    kind = Kind(row.kind)
    return Notice(
        address=address,
        subject=SUBJECTS[kind],
        body=BODIES[kind].format(order=row.order_id, **_words(row.facts)),
        message_id=message_id(row.order_id, kind),
    )


def message_id(order_id: UUID, kind: str) -> str:
    """One Message-ID per order and kind, so that a mail sent twice is recognised as one (RFC 5322, 3.6.4)."""
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">") or "localhost"
    return f"<{order_id}.{kind}@{domain}>"


def _words(facts: Mapping[str, Any]) -> dict[str, str]:
    reason = facts.get("reason", "")
    return {
        "total": facts.get("totalAmount", ""),
        "currency": facts.get("currency", ""),
        "reason": REASONS.get(reason, reason.replace("_", " ")),
    }
