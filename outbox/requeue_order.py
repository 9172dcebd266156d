"""The table of requeue orders: what an operator wants requeued, worked off in the background (requeue_orders.py)."""

import uuid_utils.compat as uuid_utils
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .choice import COUNTED_MAX, Choice, counted
from .error_text import FINGERPRINT_CHARACTERS, PATTERN_MAX_CHARACTERS


class RequeueOrder(models.Model):
    """A person's order to make the dead messages of one error, destination or type due again, so many a second.

    A tick works it off (requeue_orders.py). An empty choice is any; an order takes what was dead when it was given.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        PAUSED = "paused"
        DONE = "done"
        CANCELLED = "cancelled"

    TRANSITIONS = {  # requeue_orders.py is the only writer
        Status.OPEN: {Status.PAUSED, Status.DONE, Status.CANCELLED},
        Status.PAUSED: {Status.OPEN, Status.CANCELLED},
        Status.DONE: set(),
        Status.CANCELLED: set(),
    }

    id = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    who = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)
    error_fingerprint = models.CharField(max_length=FINGERPRINT_CHARACTERS, default="", blank=True)
    error_pattern = models.CharField(max_length=PATTERN_MAX_CHARACTERS, default="", blank=True)
    destination = models.CharField(max_length=100, default="", blank=True)
    type = models.CharField(max_length=100, default="", blank=True)
    rate_per_second = models.SmallIntegerField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.OPEN)
    found = models.IntegerField()
    requeued = models.IntegerField(default=0)
    ordered_at = models.DateTimeField(db_default=Now())
    # Until when the rate has been used up, by the database's clock (F6).
    paced_until = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["error_fingerprint", "destination", "type"],
                condition=Q(status__in=["open", "paused"]),
                name="one_requeue_order_under_way_per_choice",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="a_requeue_order_has_a_reason"),
            models.CheckConstraint(condition=Q(rate_per_second__range=(1, 1_000)), name="a_requeue_order_has_a_rate"),
            models.CheckConstraint(
                condition=Q(status__in=["open", "paused"], ended_at__isnull=True)
                | Q(status__in=["done", "cancelled"], ended_at__isnull=False),
                name="a_requeue_order_has_ended_if_and_only_if_it_is_over",
            ),
            models.CheckConstraint(
                condition=Q(found__gte=0, requeued__gte=0), name="a_requeue_orders_counts_are_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"requeue of {self.choice}"

    @property
    def found_text(self) -> str:
        """How many it found, to be read."""
        return counted(self.found)

    @property
    def found_more(self) -> bool:
        """Whether it found more than were counted."""
        return self.found >= COUNTED_MAX

    @property
    def choice(self) -> Choice:
        return Choice(error_fingerprint=self.error_fingerprint, destination=self.destination, type=self.type)
