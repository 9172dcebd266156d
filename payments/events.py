"""Facts about payments. The aggregate is the payment; the order id is the correlation."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from outbox.registry import Event

# ISO 4217: currencies whose minor unit is not a hundredth.
DIGITS = {"BHD": 3, "CLP": 0, "ISK": 0, "JPY": 0, "KRW": 0, "KWD": 3, "TND": 3}


def decimal_string(amount_minor: int, currency: str) -> str:
    """Money on the wire: `2997` minor units of EUR are "29.97"."""
    digits = DIGITS.get(currency, 2)
    if not digits:
        return str(amount_minor)
    whole, fraction = divmod(amount_minor, 10**digits)
    return f"{whole}.{fraction:0{digits}d}"


@dataclass(frozen=True, kw_only=True)
class PaymentCharged(Event):
    """Money was captured."""

    type: ClassVar[str] = "payment.charged.v1"
    aggregate_type: ClassVar[str] = "payment"

    payment_id: UUID
    order_id: UUID
    provider_reference: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class PaymentChargedLate(Event):
    """Money was captured after the order's process had settled that it was not: it must be undone (F13)."""

    type: ClassVar[str] = "payment.charged_late.v1"
    aggregate_type: ClassVar[str] = "payment"

    payment_id: UUID
    order_id: UUID
    provider_reference: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class PaymentDeclined(Event):
    """The provider refused the charge; nothing was captured."""

    type: ClassVar[str] = "payment.declined.v1"
    aggregate_type: ClassVar[str] = "payment"

    payment_id: UUID
    order_id: UUID
    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentRefunded(Event):
    """Money went back."""

    type: ClassVar[str] = "payment.refunded.v1"
    aggregate_type: ClassVar[str] = "payment"

    payment_id: UUID
    order_id: UUID
    refund_id: UUID
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class PaymentWebhookReceived(Event):
    """The provider hinted that something happened to this payment: a reason to ask it, never a fact by itself."""

    type: ClassVar[str] = "payment.webhook_received.v1"
    aggregate_type: ClassVar[str] = "payment"

    payment_id: UUID
