"""The order and its lines.

Guarantee: Postgres refuses a line whose total is not quantity × price (I9), an order that has ended without a time, one
that is pending with one, a rejection without a reason and a confirmed order that was asked to be cancelled.
Not guaranteed here: that the order's total is the sum of its lines; place_order writes both at once, the audit checks.
"""

import uuid_utils.compat as uuid_utils
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

SKU_MAX_LENGTH = 50
PAYMENT_METHOD_MAX_LENGTH = 100
REASON_MAX_LENGTH = 100
SUMMARY_MAX_LENGTH = 500


class Order(models.Model):
    """One customer's order. `sequence` numbers its events, raised by each UPDATE that changes its status (I12)."""

    class Status(models.TextChoices):
        PENDING = "pending"
        CONFIRMED = "confirmed"
        REJECTED = "rejected"
        CANCELLED = "cancelled"

    # Which status may follow which; the guarded UPDATEs in services.py are the only writers.
    TRANSITIONS = {
        Status.PENDING: {Status.CONFIRMED, Status.REJECTED, Status.CANCELLED},
        Status.CONFIRMED: set(),
        Status.REJECTED: set(),
        Status.CANCELLED: set(),
    }

    id = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=REASON_MAX_LENGTH, default="", blank=True)
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField()
    payment_method = models.CharField(max_length=PAYMENT_METHOD_MAX_LENGTH)
    sequence = models.IntegerField(default=1)
    placed_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    # Refunds that the customer was told of: the natural key of telling, for longer than any inbox remembers (I5).
    announced_refunds = ArrayField(models.UUIDField(), default=list, db_default=[])
    # What is left of the order's saga once it is purged: one line for people.
    fulfilment_summary = models.CharField(max_length=SUMMARY_MAX_LENGTH, default="", db_default="", blank=True)

    class Meta:
        indexes = [
            # A customer's own page, newest first. Its first column also serves the foreign key.
            models.Index(fields=["customer", "-id"], name="orders_of_a_customer"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["pending", "confirmed", "rejected", "cancelled"]), name="order_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status="pending", ended_at__isnull=True)
                | (~Q(status="pending") & Q(ended_at__isnull=False)),
                name="order_has_an_end_if_and_only_if_it_ended",
            ),
            models.CheckConstraint(
                condition=~Q(status="rejected") | ~Q(reason=""), name="a_rejected_order_has_a_reason"
            ),
            models.CheckConstraint(
                condition=~Q(status="confirmed") | Q(cancel_requested_at__isnull=True),
                name="a_confirmed_order_was_not_cancelled",
            ),
            models.CheckConstraint(condition=Q(total_minor__gt=0), name="order_total_is_positive"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="order_currency_is_a_code"),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="order_sequence_starts_at_one"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class OrderLine(models.Model):
    """One product of an order, at the price of the moment. Written once, never changed."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="lines", db_index=False)
    sku = models.CharField(max_length=SKU_MAX_LENGTH)
    quantity = models.IntegerField()
    unit_price_minor = models.BigIntegerField()
    line_total_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            # Serves the foreign key too.
            models.UniqueConstraint(fields=["order", "sku"], name="one_line_per_order_and_sku"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_line_quantity_is_positive"),
            models.CheckConstraint(condition=Q(unit_price_minor__gt=0), name="order_line_price_is_positive"),
            models.CheckConstraint(
                condition=Q(line_total_minor=F("quantity") * F("unit_price_minor")),
                name="order_line_total_is_quantity_times_price",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku}"
