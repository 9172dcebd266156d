"""The breaker's row: one per provider, shared by every process, in the database that survives the broker.

Guarantees that at most one process holds the trial of a breaker (guarded UPDATEs in `breaker.py` compare `epoch`).
Does not guarantee an exact count of failures in a row: reports of several processes interleave.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class BreakerState(models.TextChoices):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open", "half open"


class Breaker(models.Model):
    """No row means closed: rows appear with the first failure."""

    provider = models.CharField(max_length=50, primary_key=True)
    state = models.CharField(max_length=10, choices=BreakerState, default=BreakerState.CLOSED)
    failures = models.PositiveIntegerField(default=0, help_text="in a row, while closed")
    trips = models.PositiveIntegerField(default=0, help_text="openings in a row; each doubles the wait")
    # Raised by every change of state: what a trial was given is compared with it when the trial reports.
    epoch = models.BigIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    # When the next trial may start (open), when a trial that never reported is given up (half open), or until when the
    # provider asked for a pause (closed).
    retry_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=255, blank=True)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["provider"]
        permissions = [("operate_breaker", "Can open, close and try a breaker by hand")]
        constraints = [
            models.CheckConstraint(
                name="breaker_state_is_known", condition=Q(state__in=[state.value for state in BreakerState])
            ),
            # I11: an open breaker always has a time at which it is tried again.
            models.CheckConstraint(
                name="breaker_not_closed_has_a_time_to_retry",
                condition=Q(state=BreakerState.CLOSED) | Q(retry_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.state}"
