"""The outbox's tables.

Guarantee: a message is a row from the commit of its cause until it is done, dead or skipped (I4); Postgres refuses a
second row per message and destination, a second sequence number per aggregate, a second open step per saga (I6), and a
second requeue order under way for the same messages.
"""

import uuid_utils.compat as uuid_utils
from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .error_text import FINGERPRINT_CHARACTERS, LAST_ERROR_MAX_CHARACTERS
from .proposal import Proposal
from .querysets import OutboxMessageQuerySet
from .requeue_order import RequeueOrder

__all__ = [
    "DeadLetter", "Destination", "Heartbeat", "InboxEntry", "InboxMessage", "OperatorAct", "OutboxMessage", "Proposal",
    "RequeueOrder", "Tick",
]  # fmt: skip


class NextMessageNumber(models.Func):
    """The next number in insertion order, taken from a sequence by the database."""

    template = "nextval('outbox_message_number')"
    output_field = models.BigIntegerField()


class OutboxMessage(models.Model):
    """One message for one destination.

    `key` is the row's identity; `message_id` is the event's, shared by all its destinations, and what consumers dedupe
    on. Scheduled, running, backing off and parked are readings of an open row (`reading`), not states.
    """

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        DEAD = "dead"
        SKIPPED = "skipped"

    # Which state may follow which; the QuerySet's verbs are the only writers.
    TRANSITIONS = {
        State.OPEN: {State.DONE, State.DEAD, State.SKIPPED},
        State.DEAD: {State.OPEN, State.SKIPPED},
        State.DONE: {State.OPEN},
        State.SKIPPED: {State.OPEN},
    }

    key = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    # No index of its own: with one, the planner walks it through every finished row.
    id = models.BigIntegerField(db_default=NextMessageNumber(), editable=False)
    message_id = models.UUIDField()
    destination = models.CharField(max_length=100)
    type = models.CharField(max_length=100)
    aggregate_type = models.CharField(max_length=50)
    aggregate_id = models.UUIDField()
    sequence = models.IntegerField(null=True)
    # True: claimed without regard to the order of its aggregate, and at most one open at a time (saga steps).
    order_free = models.BooleanField(default=False)
    correlation_id = models.UUIDField()
    payload = models.JSONField()
    headers = models.JSONField(default=dict)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    # Null: at once. due_at begins here and moves with claims, backoff and parking.
    scheduled_for = models.DateTimeField(null=True)
    due_at = models.DateTimeField(db_default=Now())
    attempts = models.SmallIntegerField(default=0)
    epoch = models.IntegerField(default=0)
    claimed_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=LAST_ERROR_MAX_CHARACTERS, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    # Written when it is buried (decision 0032). Code before these columns leaves both empty; a tick fills them in.
    error_fingerprint = models.CharField(max_length=FINGERPRINT_CHARACTERS, db_default="", blank=True)
    died_at = models.DateTimeField(null=True)
    # The last requeue order that made it due again.
    requeued_by = models.UUIDField(null=True)

    objects = OutboxMessageQuerySet.as_manager()

    class Meta:
        permissions = [
            ("requeue_outboxmessage", "Can make a dead, done or skipped message due again"),
            ("skip_outboxmessage", "Can end a message undone"),
            ("edit_outboxmessage", "Can send an edited copy of a dead message"),
        ]
        # due_at, attempts and epoch stand in no index, so that claims stay heap-only (HOT) updates.
        indexes = [
            models.Index(fields=["destination", "id"], name="outbox_open", condition=Q(state="open")),
            models.Index(
                fields=["destination", "aggregate_id", "id"],
                name="outbox_unfinished_by_aggregate",
                condition=Q(state__in=["open", "dead"], order_free=False),
            ),
            models.Index(fields=["destination", "key"], name="outbox_dead", condition=Q(state="dead")),
            # Groups of dead messages are read from this index alone.
            models.Index(
                fields=["error_fingerprint", "key"],
                include=["destination", "type", "died_at", "order_free"],
                name="outbox_dead_by_error",
                condition=Q(state="dead"),
            ),
            models.Index(
                fields=["requeued_by", "state"], name="outbox_requeued", condition=Q(requeued_by__isnull=False)
            ),
            # Rare among millions: without it a list of them reads them all.
            models.Index(fields=["key"], name="outbox_skipped", condition=Q(state="skipped")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["message_id", "destination"], name="one_row_per_message_and_destination"),
            models.UniqueConstraint(
                fields=["aggregate_id", "sequence", "destination"],
                name="one_message_per_aggregate_sequence_and_destination",
            ),
            models.UniqueConstraint(
                fields=["aggregate_id"],
                condition=Q(order_free=True, state="open"),
                name="one_open_message_per_saga",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "done", "dead", "skipped"]), name="outbox_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["done", "skipped"], finished_at__isnull=False)
                | Q(state__in=["open", "dead"], finished_at__isnull=True),
                name="outbox_finished_if_and_only_if_ended",
            ),
            models.CheckConstraint(condition=Q(attempts__gte=0, epoch__gte=0), name="outbox_counts_are_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.type} → {self.destination}"


class DeadLetter(OutboxMessage):
    """The dead ones, by what they died of: the admin's page of groups. Seen by whoever sees messages."""

    class Meta:
        proxy = True
        default_permissions = ()


class InboxMessage(models.Model):
    """A message that a consumer has handled: written in the effect's own transaction (I5)."""

    pk = models.CompositePrimaryKey("consumer", "message_id")
    consumer = models.CharField(max_length=100)
    message_id = models.UUIDField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        # Rows arrive in time order: a BRIN index costs next to nothing and keeps the purge to the oldest pages.
        indexes = [BrinIndex(fields=["received_at"], name="inbox_received")]

    def __str__(self) -> str:
        return f"{self.consumer} has {self.message_id}"


class InboxEntry(models.Model):
    """An inbox row as the admin can show it: Django's admin refuses a composite primary key, so a view adds one.

    The view only puts a text beside the columns: filtering by consumer or message id still uses the table's own key.
    """

    id = models.TextField(primary_key=True)
    consumer = models.CharField(max_length=100)
    message_id = models.UUIDField()
    received_at = models.DateTimeField()

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = "inbox message"

    def __str__(self) -> str:
        return self.id


class Destination(models.Model):
    """One destination's bell and breaker: rings under way, and until when nothing of it is claimed.

    Not truth: a lost or doubled count costs a ring, never a message.
    """

    name = models.CharField(primary_key=True, max_length=100)
    slots = models.IntegerField(default=1)
    rings = models.IntegerField(default=0)
    rings_moved_at = models.DateTimeField(db_default=Now())
    paused_until = models.DateTimeField(null=True)
    pauses = models.IntegerField(default=0)
    pause_reason = models.CharField(max_length=LAST_ERROR_MAX_CHARACTERS, default="", blank=True)

    class Meta:
        permissions = [("resume_destination", "Can end a destination's pause")]

    def __str__(self) -> str:
        return self.name


class Tick(models.Model):
    """When a piece of periodic work last ran, so that beat, relay and doubled ticks share one interval."""

    name = models.CharField(primary_key=True, max_length=100)
    ran_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """A process that says it is alive."""

    process = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(max_length=50)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.process


class OperatorAct(models.Model):
    """What a person did, to what and why. Written in the act's own transaction, never changed."""

    id = models.UUIDField(primary_key=True, default=uuid_utils.uuid7, editable=False)
    who = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    # The second person, where it took two (outbox/proposals.py).
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    verb = models.CharField(max_length=50)
    target_type = models.CharField(max_length=50)
    target_id = models.CharField(max_length=100)
    reason = models.CharField(max_length=500)
    detail = models.JSONField(default=dict)
    acted_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["target_type", "target_id"], name="operator_act_by_target"),
            # Ids begin with the moment of a form (once.py), not of the act.
            models.Index(fields=["acted_at", "id"], name="operator_act_by_time"),
            models.Index(
                fields=["approved_by"], name="operator_act_by_approver", condition=Q(approved_by__isnull=False)
            ),
        ]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="an_operator_act_has_a_reason")]

    def __str__(self) -> str:
        return f"{self.verb} {self.target_type} {self.target_id}"
