"""Locking rows in key order, and writing what became of them (providers.rows): one statement each."""

from collections.abc import Collection, Mapping
from uuid import UUID

from providers.rows import write
from shipping.models import Cancellation, Shipment

# The cast cuts a reason that is longer than its column; whatever else is too long is an error.
CANCELLATION_COLUMNS = {"status": "text", "reason": "varchar(255)", "provider_reference": "text"}
SHIPMENT_COLUMNS = CANCELLATION_COLUMNS | {"tracking_number": "text", "sequence": "bigint"}


def lock_shipments(ids: Collection[UUID]) -> dict[UUID, Shipment]:
    return {row.pk: row for row in Shipment.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def lock_cancellations(ids: Collection[UUID]) -> dict[UUID, Cancellation]:
    return {row.pk: row for row in Cancellation.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def write_shipments(rows: Mapping[UUID, Shipment], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    write(rows, before=before, table="shipping_shipment", columns=SHIPMENT_COLUMNS)


def write_cancellations(rows: Mapping[UUID, Cancellation], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    write(rows, before=before, table="shipping_cancellation", columns=CANCELLATION_COLUMNS)
