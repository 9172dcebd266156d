"""Locking rows in key order, and writing what became of them: one statement each, however many rows.

Guarantees that a status changes only from what it was when the row was locked, along the table in `models.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from django.db import connection

from payments.models import PAYMENT_TRANSITIONS, REFUND_TRANSITIONS, Payment, Refund

REASON_MAX_LENGTH = 255


def lock_payments(ids: Collection[UUID]) -> dict[UUID, Payment]:
    return {row.pk: row for row in Payment.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def lock_refunds(ids: Collection[UUID]) -> dict[UUID, Refund]:
    return {row.pk: row for row in Refund.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def statuses(rows: Mapping[UUID, Payment | Refund]) -> dict[UUID, str]:
    """What to compare with once the rows have been changed."""
    return {key: row.status for key, row in rows.items()}


def move(row: Payment | Refund, *targets: str) -> str | None:
    """Moves a locked row to the first target its status allows; None: a fact stands that none of them may replace."""
    transitions: Mapping[str, frozenset[str]] = PAYMENT_TRANSITIONS
    if isinstance(row, Refund):
        transitions = REFUND_TRANSITIONS
    for target in targets:
        if target in transitions[row.status]:
            row.status = target
            return target
    return None


def write_payments(rows: Mapping[UUID, Payment], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    columns = [
        (
            row.pk,
            before[row.pk],
            row.status,
            row.reason[:REASON_MAX_LENGTH],
            row.provider_reference,
            row.captured_minor,
            row.refunded_minor,
            row.sequence,
        )
        for row in rows.values()
        if row.status != before[row.pk]
    ]
    _write(WRITE_PAYMENTS, columns)


def write_refunds(rows: Mapping[UUID, Refund], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    columns = [
        (row.pk, before[row.pk], row.status, row.reason[:REASON_MAX_LENGTH], row.provider_reference)
        for row in rows.values()
        if row.status != before[row.pk]
    ]
    _write(WRITE_REFUNDS, columns)


def _write(statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        if cursor.rowcount != len(rows):
            raise RuntimeError(f"{cursor.rowcount} of {len(rows)} locked rows had the status they were locked with")


WRITE_PAYMENTS = """
    UPDATE payments_payment AS p
    SET status = v.status, reason = v.reason, provider_reference = v.provider_reference,
        captured_minor = v.captured_minor, refunded_minor = v.refunded_minor, sequence = v.sequence,
        updated_at = statement_timestamp()
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS v (id, was, status, reason, provider_reference, captured_minor, refunded_minor, sequence)
    WHERE p.id = v.id AND p.status = v.was
"""
WRITE_REFUNDS = """
    UPDATE payments_refund AS r
    SET status = v.status, reason = v.reason, provider_reference = v.provider_reference,
        updated_at = statement_timestamp()
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[])
        AS v (id, was, status, reason, provider_reference)
    WHERE r.id = v.id AND r.status = v.was
"""
