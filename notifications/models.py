"""What customers are told: one row per order and kind, noted before it is sent.

Guarantee: an order's end is told at least once. Twice only when nobody knows whether the mail server took the first
one: a process died before the commit, or the server's last word was lost or late. All such mails carry one Message-ID.
Postgres refuses a second row per order and kind.
"""

import uuid_utils.compat as uuid_utils
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Notification(models.Model):
    class Kind(models.TextChoices):
        CONFIRMED = "confirmed"
        REJECTED = "rejected"
        CANCELLED = "cancelled"
        REFUNDED = "refunded"

    class Status(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        # The recipient does not exist, or has no address: nobody to tell.
        REFUSED = "refused"

    TRANSITIONS = {
        Status.PENDING: {Status.SENT, Status.REFUSED},
        Status.SENT: set(),
        Status.REFUSED: set(),
    }

    id = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    order_id = models.UUIDField()
    kind = models.CharField(max_length=9, choices=Kind.choices)
    recipient_id = models.BigIntegerField()
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.PENDING)
    # What the notice says: amount, currency, reason.
    facts = models.JSONField(default=dict)
    error = models.CharField(max_length=1000, default="", blank=True)
    noted_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order_id", "kind"], name="one_notification_per_order_and_kind"),
            models.CheckConstraint(
                condition=Q(status="sent", sent_at__isnull=False) | (~Q(status="sent") & Q(sent_at__isnull=True)),
                name="a_notification_has_a_time_if_and_only_if_it_was_sent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.order_id}"
