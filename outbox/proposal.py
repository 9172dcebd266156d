"""What one person asks for and a second one decides: the row of the two-person rule.

Guarantee: Postgres refuses an approval by the person who proposed, a decision without a person, and two open proposals
of one verb on one row. Not guaranteed: that an open one is still in time; `expires_at` says until when.
"""

from datetime import timedelta

import uuid_utils.compat as uuid_utils
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

# What a person saw a day ago is looked at anew before it is acted upon.
LIFETIME = timedelta(hours=24)
SEEN_MAX_CHARACTERS = 300


class Proposal(models.Model):
    """A dangerous verb on one row, with its answers, that waits for a second person. Never purged, like the acts."""

    class State(models.TextChoices):
        OPEN = "open"
        APPROVED = "approved"
        DECLINED = "declined"
        EXPIRED = "expired"

    # An expired one is called so when somebody proposes the same anew; until then it is open and out of time.
    TRANSITIONS = {State.OPEN: {State.APPROVED, State.DECLINED, State.EXPIRED}}

    id = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    verb = models.CharField(max_length=50)
    target_type = models.CharField(max_length=50)
    target_id = models.CharField(max_length=100)
    # The verb's keyword arguments beside the reason: plain JSON.
    answers = models.JSONField(default=dict)
    # How the row stood when it was proposed: one that stands otherwise has moved on.
    seen = models.CharField(max_length=SEEN_MAX_CHARACTERS, default="", blank=True)
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_default=Now() + LIFETIME)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        permissions = [("decide_proposal", "Can approve and decline what another person proposed")]
        indexes = [models.Index(fields=["target_id"], name="proposal_by_target")]
        constraints = [
            # Finds what is open for one row, too.
            models.UniqueConstraint(
                fields=["target_type", "target_id", "verb"],
                condition=Q(state="open"),
                name="one_open_proposal_per_target_and_verb",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | Q(decided_by__isnull=False) & ~Q(decided_by=F("proposed_by")),
                name="a_proposal_is_approved_by_a_second_person",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["approved", "declined"], decided_by__isnull=False, decided_at__isnull=False)
                | Q(state__in=["open", "expired"], decided_by__isnull=True, decided_at__isnull=True),
                name="a_proposal_is_decided_if_and_only_if_a_person_did",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="a_proposal_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.target_type} {self.target_id}"
