"""Noting new rows, locking rows in key order, and writing what became of them (providers.rows): one statement each."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from providers.rows import insert, write
from shipping.models import Cancellation, Shipment

# The cast cuts a reason that is longer than its column; whatever else is too long is an error.
CANCELLATION_COLUMNS = {"status": "text", "reason": "varchar(255)", "provider_reference": "text"}
SHIPMENT_COLUMNS = CANCELLATION_COLUMNS | {"tracking_number": "text", "sequence": "bigint"}

NEW_SHIPMENT_COLUMNS = {"order_id": "uuid", "provider_key": "text", "lines": "jsonb"} | SHIPMENT_COLUMNS


def insert_shipments(rows: Sequence[Shipment]) -> set[UUID]:
    """Writes new rows where neither their key nor their order stands in the way; returns the ids of those written."""
    return insert(rows, table="shipping_shipment", columns=NEW_SHIPMENT_COLUMNS)


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
