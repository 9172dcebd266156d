"""Parcels at a carrier, as far as we know: one row per thing asked for, written before it is asked.

Guarantees (by constraints): at most one live shipment per order, one row per provider key, one live cancellation per
shipment; a status that is not in the tables below cannot follow (`services` check it under the row's lock).
Does not guarantee that a row is what the carrier's books say: `unknown` is the honest word, the audit compares.
"""

from collections.abc import Mapping
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class ShipmentStatus(models.TextChoices):
    PENDING = "pending"  # noted; the call may be under way
    UNKNOWN = "unknown"  # asked, and no answer that can be trusted (I13)
    CREATED = "created"
    REFUSED = "refused"
    ABSENT = "absent"  # the probe proved that nothing happened, and nobody will ask again
    LATE = "late"  # created after all, when it had been settled as absent or refused: to be undone
    CANCELLED = "cancelled"


class CancellationStatus(models.TextChoices):
    PENDING = "pending"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    REFUSED = "refused"


# A fact never gives way to a lesser one: what is not listed is left as it is.
SHIPMENT_TRANSITIONS: Mapping[str, frozenset[str]] = {
    ShipmentStatus.PENDING: frozenset(
        {ShipmentStatus.UNKNOWN, ShipmentStatus.CREATED, ShipmentStatus.REFUSED, ShipmentStatus.ABSENT}
    ),
    ShipmentStatus.UNKNOWN: frozenset({ShipmentStatus.CREATED, ShipmentStatus.REFUSED, ShipmentStatus.ABSENT}),
    ShipmentStatus.REFUSED: frozenset({ShipmentStatus.LATE}),
    ShipmentStatus.ABSENT: frozenset({ShipmentStatus.LATE}),
    ShipmentStatus.CREATED: frozenset({ShipmentStatus.CANCELLED}),
    ShipmentStatus.LATE: frozenset({ShipmentStatus.CANCELLED}),
    ShipmentStatus.CANCELLED: frozenset(),
}
CANCELLATION_TRANSITIONS: Mapping[str, frozenset[str]] = {
    CancellationStatus.PENDING: frozenset(
        {CancellationStatus.UNKNOWN, CancellationStatus.CANCELLED, CancellationStatus.REFUSED}
    ),
    CancellationStatus.UNKNOWN: frozenset({CancellationStatus.CANCELLED, CancellationStatus.REFUSED}),
    # A person made it possible over there, and the operator's retry found it done.
    CancellationStatus.REFUSED: frozenset({CancellationStatus.CANCELLED}),
    CancellationStatus.CANCELLED: frozenset(),
}

# A parcel that is, or may be, at the carrier for this order. LATE is not among them: it is a fact that must be
# writable beside whatever stands there, so that it can be undone.
LIVE = (ShipmentStatus.PENDING, ShipmentStatus.UNKNOWN, ShipmentStatus.CREATED)
CANCELLABLE = (ShipmentStatus.CREATED, ShipmentStatus.LATE)


class Shipment(models.Model):
    TRANSITIONS: ClassVar[Mapping[str, frozenset[str]]] = SHIPMENT_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField()
    # The idempotency key at the carrier, derived from saga and step: the same one however often it is asked.
    provider_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=255, blank=True)
    tracking_number = models.CharField(max_length=255, blank=True)
    lines = models.JSONField(help_text="[[sku, quantity], …]")
    status = models.CharField(max_length=10, choices=ShipmentStatus, default=ShipmentStatus.PENDING)
    reason = models.CharField(max_length=255, blank=True)
    # Counts this shipment's events (I12); raised by the same UPDATE that changes the status.
    sequence = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["order_id"], name="shipment_by_order"),
            models.Index(fields=["status", "id"], name="shipment_by_status"),
            models.Index(
                fields=["tracking_number"], condition=~Q(tracking_number=""), name="shipment_by_tracking_number"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider_key"], name="shipment_provider_key_is_used_once"),
            models.UniqueConstraint(
                fields=["provider_reference"],
                condition=~Q(provider_reference=""),
                name="shipment_provider_reference_is_one_shipment",
            ),
            models.UniqueConstraint(
                fields=["order_id"], condition=Q(status__in=LIVE), name="shipment_one_live_per_order"
            ),
            models.CheckConstraint(
                name="shipment_status_is_known", condition=Q(status__in=[status.value for status in ShipmentStatus])
            ),
            models.CheckConstraint(
                name="shipment_at_the_carrier_has_a_reference",
                condition=~Q(status__in=["created", "late", "cancelled"]) | ~Q(provider_reference=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider_key}: {self.status}"


class Cancellation(models.Model):
    """Asking the carrier to take a shipment back."""

    TRANSITIONS: ClassVar[Mapping[str, frozenset[str]]] = CANCELLATION_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shipment = models.ForeignKey(Shipment, on_delete=models.PROTECT, related_name="cancellations")
    order_id = models.UUIDField()
    provider_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=10, choices=CancellationStatus, default=CancellationStatus.PENDING)
    reason = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["order_id"], name="cancellation_by_order"),
            models.Index(fields=["status", "id"], name="cancellation_by_status"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider_key"], name="cancellation_provider_key_is_used_once"),
            models.UniqueConstraint(
                fields=["shipment"], condition=~Q(status="refused"), name="cancellation_one_live_per_shipment"
            ),
            models.CheckConstraint(
                name="cancellation_status_is_known",
                condition=Q(status__in=[status.value for status in CancellationStatus]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider_key}: {self.status}"
