"""Sagas and their steps.

Guarantee: a live saga waits for exactly one open message, whose id stands in `waiting_for` (I6, I11); one that has
begun to compensate never goes forward again: a trigger refuses it (I7).
"""

import uuid_utils.compat as uuid_utils
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Saga(models.Model):
    """One process for one subject."""

    class Status(models.TextChoices):
        RUNNING = "running"
        NEEDS_ATTENTION = "needs_attention"
        COMPLETED = "completed"
        COMPENSATED = "compensated"

    class Direction(models.TextChoices):
        FORWARD = "forward"
        BACKWARD = "backward"

    # COMPENSATED → RUNNING: a late success of a step that was given up is undone (F13).
    TRANSITIONS = {
        Status.RUNNING: {Status.NEEDS_ATTENTION, Status.COMPLETED, Status.COMPENSATED},
        Status.NEEDS_ATTENTION: {Status.RUNNING, Status.COMPENSATED},
        Status.COMPENSATED: {Status.RUNNING},
        Status.COMPLETED: set(),
    }

    id = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    name = models.CharField(max_length=50)
    version = models.SmallIntegerField(default=1)
    subject_id = models.UUIDField()
    status = models.CharField(max_length=15, choices=Status.choices, default=Status.RUNNING)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.FORWARD)
    current_step = models.CharField(max_length=50)
    reason = models.CharField(max_length=100, default="", blank=True)
    data = models.JSONField(default=dict)
    data_version = models.SmallIntegerField(default=1)
    waiting_for = models.UUIDField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField()
    last_error = models.CharField(max_length=1000, default="", blank=True)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        permissions = [
            ("operate_saga", "Can retry, resume, compensate and cancel sagas"),
            ("overrule_saga", "Can skip steps of sagas, and resolve those whose outcome is unknown"),
        ]
        indexes = [
            models.Index(fields=["id"], name="saga_running", condition=Q(status="running")),
            models.Index(fields=["id"], name="saga_needs_attention", condition=Q(status="needs_attention")),
            # Rare among millions: without them a list of them reads them all.
            models.Index(fields=["id"], name="saga_compensated", condition=Q(status="compensated")),
            models.Index(fields=["id"], name="saga_backward", condition=Q(direction="backward")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["name", "subject_id"], name="one_saga_per_name_and_subject"),
            models.CheckConstraint(
                condition=Q(status="running", waiting_for__isnull=False)
                | (~Q(status="running") & Q(waiting_for__isnull=True)),
                name="a_running_saga_waits_for_one_message",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["completed", "compensated"], ended_at__isnull=False)
                | Q(status__in=["running", "needs_attention"], ended_at__isnull=True),
                name="a_saga_has_ended_if_and_only_if_its_status_says_so",
            ),
            models.CheckConstraint(
                condition=~Q(status="completed", direction="backward") & ~Q(status="compensated", direction="forward"),
                name="a_saga_ends_in_the_direction_it_goes",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def is_live(self) -> bool:
        return self.status in {self.Status.RUNNING, self.Status.NEEDS_ATTENTION}

    @property
    def waits_for_a_person(self) -> bool:
        return self.status == self.Status.NEEDS_ATTENTION

    @property
    def goes_backward(self) -> bool:
        return self.direction == self.Direction.BACKWARD


class SagaStep(models.Model):
    """One step of one saga and its compensation. A row appears when the step is first run."""

    class Status(models.TextChoices):
        RUNNING = "running"
        RETRYING = "retrying"
        UNKNOWN = "unknown"
        DONE = "done"
        REFUSED = "refused"
        ABSENT = "absent"
        GIVEN_UP = "given_up"
        SKIPPED = "skipped"

    class UndoStatus(models.TextChoices):
        NONE = ""
        RUNNING = "running"
        RETRYING = "retrying"
        UNKNOWN = "unknown"
        DONE = "done"
        FAILED = "failed"
        SKIPPED = "skipped"

    saga = models.ForeignKey(Saga, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=50)
    position = models.SmallIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    attempts = models.SmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    # When the latest call may have left: None means that nothing was ever asked for.
    called_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    output = models.JSONField(default=dict)
    error = models.CharField(max_length=1000, default="", blank=True)
    undo_status = models.CharField(max_length=10, choices=UndoStatus.choices, default="", blank=True)
    undo_attempts = models.SmallIntegerField(default=0)
    undo_started_at = models.DateTimeField(null=True)
    undo_called_at = models.DateTimeField(null=True)
    undo_finished_at = models.DateTimeField(null=True)
    undo_output = models.JSONField(default=dict)
    undo_error = models.CharField(max_length=1000, default="", blank=True)
    # Each refusal closes the idempotency key that it was given under; a person's retry asks under the next one.
    undo_refusals = models.SmallIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["saga", "name"], name="one_row_per_saga_and_step"),
            models.CheckConstraint(
                condition=~Q(undo_status="done") | Q(status="done"),
                name="only_a_done_step_is_compensated",
            ),
        ]

    def __str__(self) -> str:
        return self.name
