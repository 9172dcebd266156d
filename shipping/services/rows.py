"""Locking rows in key order, and writing what became of them: one statement each, however many rows.

Guarantees that a status changes only from what it was when the row was locked, along the tables in `models.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from django.db import connection

from shipping.models import CANCELLATION_TRANSITIONS, SHIPMENT_TRANSITIONS, Cancellation, Shipment

REASON_MAX_LENGTH = 255


def lock_shipments(ids: Collection[UUID]) -> dict[UUID, Shipment]:
    return {row.pk: row for row in Shipment.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def lock_cancellations(ids: Collection[UUID]) -> dict[UUID, Cancellation]:
    return {row.pk: row for row in Cancellation.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def statuses(rows: Mapping[UUID, Shipment | Cancellation]) -> dict[UUID, str]:
    """What to compare with once the rows have been changed."""
    return {key: row.status for key, row in rows.items()}


def move(row: Shipment | Cancellation, *targets: str) -> str | None:
    """Moves a locked row to the first target its status allows; None: a fact stands that none of them may replace."""
    transitions: Mapping[str, frozenset[str]] = SHIPMENT_TRANSITIONS
    if isinstance(row, Cancellation):
        transitions = CANCELLATION_TRANSITIONS
    for target in targets:
        if target in transitions[row.status]:
            row.status = target
            return target
    return None


def write_shipments(rows: Mapping[UUID, Shipment], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    columns = [
        (
            row.pk,
            before[row.pk],
            row.status,
            row.reason[:REASON_MAX_LENGTH],
            row.provider_reference,
            row.tracking_number,
            row.sequence,
        )
        for row in rows.values()
        if row.status != before[row.pk]
    ]
    _write(WRITE_SHIPMENTS, columns)


def write_cancellations(rows: Mapping[UUID, Cancellation], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    columns = [
        (row.pk, before[row.pk], row.status, row.reason[:REASON_MAX_LENGTH], row.provider_reference)
        for row in rows.values()
        if row.status != before[row.pk]
    ]
    _write(WRITE_CANCELLATIONS, columns)


def _write(statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        if cursor.rowcount != len(rows):
            raise RuntimeError(f"{cursor.rowcount} of {len(rows)} locked rows had the status they were locked with")


WRITE_SHIPMENTS = """
    UPDATE shipping_shipment AS s
    SET status = v.status, reason = v.reason, provider_reference = v.provider_reference,
        tracking_number = v.tracking_number, sequence = v.sequence, updated_at = statement_timestamp()
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
        AS v (id, was, status, reason, provider_reference, tracking_number, sequence)
    WHERE s.id = v.id AND s.status = v.was
"""
WRITE_CANCELLATIONS = """
    UPDATE shipping_cancellation AS c
    SET status = v.status, reason = v.reason, provider_reference = v.provider_reference,
        updated_at = statement_timestamp()
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[])
        AS v (id, was, status, reason, provider_reference)
    WHERE c.id = v.id AND c.status = v.was
"""
