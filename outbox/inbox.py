"""The inbox: which consumer has handled which message.

Guarantee: within the retention, one effect per consumer and message (I5), because the row is inserted in the effect's
own transaction. Not guaranteed beyond it: each effect has a natural unique key of its own for that.
"""

from collections.abc import Collection
from uuid import UUID

from django.db import connection

from . import telemetry

RECORD = """
INSERT INTO outbox_inboxmessage (consumer, message_id)
SELECT %s, id FROM unnest(%s::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING
RETURNING message_id
"""


def record(consumer: str, message_ids: Collection[UUID]) -> set[UUID]:
    """Records messages as handled and returns those that were not before; only these may have an effect.

    Call it inside the effect's transaction, for the whole batch at once. Rows are inserted sorted, so two batches
    with the same messages wait for each other instead of deadlocking.
    """
    if not message_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(RECORD, [consumer, list(message_ids)])
        fresh = {row[0] for row in cursor.fetchall()}
    if duplicates := len(message_ids) - len(fresh):
        telemetry.INBOX_DUPLICATES.labels(consumer).inc(duplicates)
    return fresh


def forget(consumer: str, message_ids: Collection[UUID]) -> None:
    """Takes records of this very transaction back: the consumer said "later", so nothing was handled."""
    if message_ids:
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM outbox_inboxmessage WHERE consumer = %s AND message_id = ANY(%s)",
                [consumer, list(message_ids)],
            )
