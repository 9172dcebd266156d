"""One use of an Idempotency-Key: who asked for what, and the answer that every repetition gets.

Guarantee: Postgres refuses a second use of one key by one caller on one route (I2), an answer that is not a success,
half an answer, and one beyond 64 KiB.
Not guaranteed: that a row says "still running": claim and answer commit together, so every row that others can see
has its answer.
"""

import uuid_utils.compat as uuid_utils
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from django.db.models.lookups import LessThanOrEqual

KEY_MAX_LENGTH = 255
ANSWER_MAX_BYTES = 65_536


class IdempotencyKey(models.Model):
    """A use of a key. `id` is chosen before BEGIN, so that a commit whose reply was lost can be looked up."""

    id = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    caller = models.CharField(max_length=100)
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=500)
    key = models.CharField(max_length=KEY_MAX_LENGTH)
    # SHA-256 of the canonical body.
    fingerprint = models.BinaryField(max_length=32)
    status_code = models.SmallIntegerField(null=True)
    body = models.BinaryField(null=True)
    headers = models.JSONField(default=dict)
    # What the answer is about: its "id", so that "what became of my key?" can name the order.
    resource_id = models.CharField(max_length=64, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="idempotency_keys_by_expiry")]
        constraints = [
            models.UniqueConstraint(
                fields=["caller", "key", "method", "path"], name="one_use_per_caller_key_and_route"
            ),
            models.CheckConstraint(
                condition=Q(status_code__isnull=True, body__isnull=True)
                | Q(status_code__isnull=False, status_code__gte=200, status_code__lt=300, body__isnull=False),
                name="only_whole_successful_answers_are_stored",
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(
                    Func(F("body"), function="octet_length", output_field=models.IntegerField()), ANSWER_MAX_BYTES
                ),
                name="a_stored_answer_is_bounded",
            ),
            models.CheckConstraint(condition=~Q(key=""), name="an_idempotency_key_is_not_blank"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="a_key_expires_after_its_use"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
