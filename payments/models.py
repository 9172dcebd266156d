"""Money at somebody else's API, as far as we know it: one row per thing asked for, written before it is asked.

Guarantees (by constraints): at most one live payment per order, one row per provider key, never more refunded than
captured (I3); a status that is not in the table below cannot follow (`services` check it under the row's lock).
Does not guarantee that a row is what the provider's books say: `unknown` is the honest word, the audit compares.
"""

from collections.abc import Mapping
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class PaymentStatus(models.TextChoices):
    PENDING = "pending"  # noted; the call may be under way
    UNKNOWN = "unknown"  # asked, and no answer that can be trusted (I13)
    CAPTURED = "captured"
    DECLINED = "declined"
    ABSENT = "absent"  # the probe proved that nothing happened, and nobody will ask again
    LATE = "late"  # captured after all, when it had been settled as absent or declined: to be undone
    REFUNDED = "refunded"  # everything that was captured


class RefundStatus(models.TextChoices):
    PENDING = "pending"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    REFUSED = "refused"


# A fact never gives way to a lesser one: what is not listed is left as it is.
PAYMENT_TRANSITIONS: Mapping[str, frozenset[str]] = {
    PaymentStatus.PENDING: frozenset(
        {PaymentStatus.UNKNOWN, PaymentStatus.CAPTURED, PaymentStatus.DECLINED, PaymentStatus.ABSENT}
    ),
    PaymentStatus.UNKNOWN: frozenset({PaymentStatus.CAPTURED, PaymentStatus.DECLINED, PaymentStatus.ABSENT}),
    PaymentStatus.DECLINED: frozenset({PaymentStatus.LATE}),
    PaymentStatus.ABSENT: frozenset({PaymentStatus.LATE}),
    PaymentStatus.CAPTURED: frozenset({PaymentStatus.REFUNDED}),
    PaymentStatus.LATE: frozenset({PaymentStatus.REFUNDED}),
    PaymentStatus.REFUNDED: frozenset(),
}
REFUND_TRANSITIONS: Mapping[str, frozenset[str]] = {
    RefundStatus.PENDING: frozenset({RefundStatus.UNKNOWN, RefundStatus.REFUNDED, RefundStatus.REFUSED}),
    RefundStatus.UNKNOWN: frozenset({RefundStatus.REFUNDED, RefundStatus.REFUSED}),
    # A person made it possible over there, and the operator's retry found it done.
    RefundStatus.REFUSED: frozenset({RefundStatus.REFUNDED}),
    RefundStatus.REFUNDED: frozenset(),
}

# Money that is, or may be, at the provider for this order. LATE is not among them: it is a fact that must be writable
# beside whatever stands there, so that it can be undone.
LIVE = (PaymentStatus.PENDING, PaymentStatus.UNKNOWN, PaymentStatus.CAPTURED)
REFUNDABLE = (PaymentStatus.CAPTURED, PaymentStatus.LATE)


class Payment(models.Model):
    TRANSITIONS: ClassVar[Mapping[str, frozenset[str]]] = PAYMENT_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField()
    # The idempotency key at the provider, derived from saga and step: the same one however often it is asked (I3).
    provider_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=255, blank=True)
    payment_method = models.CharField(max_length=255)
    amount_minor = models.BigIntegerField()
    captured_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=PaymentStatus, default=PaymentStatus.PENDING)
    reason = models.CharField(max_length=255, blank=True)
    # Counts this payment's events (I12); raised by the same UPDATE that changes the status.
    sequence = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["order_id"], name="payment_by_order"),
            models.Index(fields=["status", "id"], name="payment_by_status"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider_key"], name="payment_provider_key_is_used_once"),
            models.UniqueConstraint(
                fields=["provider_reference"],
                condition=~Q(provider_reference=""),
                name="payment_provider_reference_is_one_payment",
            ),
            models.UniqueConstraint(
                fields=["order_id"], condition=Q(status__in=LIVE), name="payment_one_live_per_order"
            ),
            models.CheckConstraint(
                name="payment_status_is_known", condition=Q(status__in=[status.value for status in PaymentStatus])
            ),
            models.CheckConstraint(name="payment_amount_is_positive", condition=Q(amount_minor__gt=0)),
            models.CheckConstraint(
                name="payment_refunds_never_exceed_captured",
                condition=Q(refunded_minor__gte=0, refunded_minor__lte=F("captured_minor")),
            ),
            # I9: a status never tells another story than the amounts.
            models.CheckConstraint(
                name="payment_captured_in_full_or_not_at_all",
                condition=Q(status__in=["captured", "late", "refunded"], captured_minor=F("amount_minor"))
                | Q(status__in=["pending", "unknown", "declined", "absent"], captured_minor=0),
            ),
            models.CheckConstraint(
                name="payment_refunded_means_all_of_it",
                condition=Q(status="refunded", refunded_minor=F("captured_minor"))
                | Q(~Q(status="refunded"), refunded_minor__lt=F("amount_minor")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider_key}: {self.status}"


class Refund(models.Model):
    TRANSITIONS: ClassVar[Mapping[str, frozenset[str]]] = REFUND_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    order_id = models.UUIDField()
    provider_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=255, blank=True)
    amount_minor = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=RefundStatus, default=RefundStatus.PENDING)
    reason = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["order_id"], name="refund_by_order"),
            models.Index(fields=["status", "id"], name="refund_by_status"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider_key"], name="refund_provider_key_is_used_once"),
            models.UniqueConstraint(
                fields=["provider_reference"],
                condition=~Q(provider_reference=""),
                name="refund_provider_reference_is_one_refund",
            ),
            # Every refund here is of all that is left, so two that are not refused would pay twice.
            models.UniqueConstraint(
                fields=["payment"], condition=~Q(status="refused"), name="refund_one_live_per_payment"
            ),
            models.CheckConstraint(
                name="refund_status_is_known", condition=Q(status__in=[status.value for status in RefundStatus])
            ),
            models.CheckConstraint(name="refund_amount_is_positive", condition=Q(amount_minor__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.provider_key}: {self.status}"
