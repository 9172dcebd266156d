"""Facts about payments. The aggregate is the payment, save for webhooks; the order id is the correlation."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from outbox.registry import Event


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
    """The provider hinted that something happened to this payment: a reason to ask it, never a fact by itself.

    Its aggregate is the webhook, not the payment: any number of them, in any order.
    """

    type: ClassVar[str] = "payment.webhook_received.v1"
    aggregate_type: ClassVar[str] = "payment_webhook"

    payment_id: UUID


@dataclass(frozen=True, kw_only=True)
class PaymentDoubted(Event):
    """Somebody compared our books with the provider's and doubts this row: a reason to ask again, never a fact.

    Its aggregate is the doubt, not the payment: any number of them, in any order.
    """

    type: ClassVar[str] = "payment.doubted.v1"
    aggregate_type: ClassVar[str] = "payment_doubt"

    payment_id: UUID


@dataclass(frozen=True, kw_only=True)
class RefundDoubted(Event):
    """The same of a refund."""

    type: ClassVar[str] = "refund.doubted.v1"
    aggregate_type: ClassVar[str] = "refund_doubt"

    refund_id: UUID
