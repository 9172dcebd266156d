"""What the audit keeps: its last frequent run, so that every process tells the same metric and the next run goes on."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class AuditRun(models.Model):
    """The last audit of one name: one row, overwritten by each run that could judge."""

    name = models.CharField(primary_key=True, max_length=50)
    # By the database's clock, before anything was read.
    began_at = models.DateTimeField()
    # The end of its last window: where the next run goes on.
    judged_until = models.DateTimeField()
    milliseconds = models.IntegerField()
    # {check: {"promise": "I3", "count": rows known to violate it, "rows": the first of them, "found_at": when last}},
    # until a whole audit that began later does not find it.
    violations = models.JSONField(default=dict)
    judged = models.JSONField(default=dict)
    # Orders that could not be judged yet: something of them was under way. Judged by the next run, however old.
    carried = models.JSONField(default=list)
    # Messages of the next window: halved whenever a window could not be judged, and slowly raised again.
    window_messages = models.IntegerField(default=50_000, db_default=50_000)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(milliseconds__gte=0), name="an_audit_run_takes_no_negative_time")
        ]

    def __str__(self) -> str:
        return self.name


class Difference(models.Model):
    """Something that our book and a provider's tell otherwise: a row per key, however often it is seen.

    Guarantee (by constraints): one row stands per object and key, open or resolved by a person; an ended one says when,
    a resolved one also why. Statuses change only as the table says, by a guarded UPDATE (reconciliation, operations).
    """

    class Object(models.TextChoices):
        CHARGE = "charge"
        REFUND = "refund"
        SHIPMENT = "shipment"
        CANCELLATION = "cancellation"

    class Kind(models.TextChoices):
        OURS_ONLY = "ours_only"  # we say that it happened, and they do not know it
        THEIRS_ONLY = "theirs_only"  # it happened over there, and we have no row
        AMOUNT = "amount"
        STATE = "state"
        LATE_CAPTURE = "late_capture"  # money stands there for an order that was settled without it
        LATE_PARCEL = "late_parcel"  # the same of a parcel

    class State(models.TextChoices):
        OPEN = "open"
        REPAIRED = "repaired"  # a repair was asked for, and then the books agreed
        VANISHED = "vanished"  # the books agree, and nobody here did anything
        RESOLVED = "resolved"  # a person answers for it

    class Repair(models.TextChoices):
        NONE = ""  # waits for a person
        ASK = "ask"  # the provider is asked again, and its answer is the fact
        CLAIM = "claim"  # a row for what stands there under a key of ours, then asked about
        UNDO = "undo"  # through the order's saga

    # RESOLVED → OPEN: under the same key the books differ in another way than the person answered for.
    TRANSITIONS = {
        State.OPEN: {State.REPAIRED, State.VANISHED, State.RESOLVED},
        State.RESOLVED: {State.OPEN},
        State.REPAIRED: set(),
        State.VANISHED: set(),
    }

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.CharField(max_length=50)
    object = models.CharField(max_length=12, choices=Object.choices)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    provider_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=255, blank=True)
    order_id = models.UUIDField(null=True)
    # Our payment, refund, shipment or cancellation.
    row_id = models.UUIDField(null=True)
    # {"status", "amount_minor", "undone_minor", "currency"} as the two books say; null where there is nothing.
    ours = models.JSONField(null=True)
    theirs = models.JSONField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    repair = models.CharField(max_length=5, choices=Repair.choices, default=Repair.NONE, blank=True)
    repairs = models.SmallIntegerField(default=0)
    repair_asked_at = models.DateTimeField(null=True)
    # Why a person answers for it.
    resolution = models.CharField(max_length=500, blank=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("resolve_difference", "Can resolve differences with the providers' books")]
        indexes = [
            models.Index(fields=["order_id"], name="difference_by_order"),
            models.Index(fields=["provider_key"], name="difference_by_provider_key"),
            models.Index(fields=["last_seen_at"], condition=Q(state="open"), name="difference_open"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["object", "provider_key"],
                condition=Q(state__in=["open", "resolved"]),
                name="one_standing_difference_per_object_and_key",
            ),
            models.CheckConstraint(
                condition=Q(state="open", ended_at__isnull=True) | (~Q(state="open") & Q(ended_at__isnull=False)),
                name="a_difference_has_ended_unless_it_is_open",
            ),
            models.CheckConstraint(
                condition=Q(state="resolved") & ~Q(resolution="") | ~Q(state="resolved") & Q(resolution=""),
                name="a_resolved_difference_and_no_other_says_why",
            ),
            models.CheckConstraint(
                condition=Q(repairs=0, repair_asked_at__isnull=True) | Q(repairs__gt=0, repair_asked_at__isnull=False),
                name="an_asked_repair_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.object} {self.kind} {self.provider_key}"


class Position(models.Model):
    """How far the running comparison has read one kind of object: their reference, our id."""

    object = models.CharField(primary_key=True, max_length=12, choices=Difference.Object.choices)
    theirs = models.CharField(max_length=255, blank=True)
    ours = models.UUIDField()
    # Ids of ours before it that were neither found over there nor asked about yet: they may happen, or just did.
    awaited = models.JSONField(default=list, db_default=[])
    moved_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.object
