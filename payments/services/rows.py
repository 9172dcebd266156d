"""Noting new rows, locking rows in key order, and writing what became of them (providers.rows): one statement each."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from payments.models import Payment, Refund
from providers.rows import insert, write

# The cast cuts a reason that is longer than its column; whatever else is too long is an error.
REFUND_COLUMNS = {"status": "text", "reason": "varchar(255)", "provider_reference": "text"}
PAYMENT_COLUMNS = REFUND_COLUMNS | {"captured_minor": "bigint", "refunded_minor": "bigint", "sequence": "bigint"}

NEW_PAYMENT_COLUMNS = {
    "order_id": "uuid",
    "provider_key": "text",
    "payment_method": "text",
    "amount_minor": "bigint",
    "currency": "text",
} | PAYMENT_COLUMNS


def insert_payments(rows: Sequence[Payment]) -> set[UUID]:
    """Writes new rows where neither their key nor their order stands in the way; returns the ids of those written."""
    return insert(rows, table="payments_payment", columns=NEW_PAYMENT_COLUMNS)


def lock_payments(ids: Collection[UUID]) -> dict[UUID, Payment]:
    return {row.pk: row for row in Payment.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def lock_refunds(ids: Collection[UUID]) -> dict[UUID, Refund]:
    return {row.pk: row for row in Refund.objects.select_for_update().filter(pk__in=ids).order_by("pk")}


def write_payments(rows: Mapping[UUID, Payment], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    write(rows, before=before, table="payments_payment", columns=PAYMENT_COLUMNS)


def write_refunds(rows: Mapping[UUID, Refund], *, before: Mapping[UUID, str]) -> None:
    """Writes the locked rows whose status is not what it was before."""
    write(rows, before=before, table="payments_refund", columns=REFUND_COLUMNS)
