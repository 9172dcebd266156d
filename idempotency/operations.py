"""What operators and the purge's clock do with idempotency keys.

Guarantee: only expired keys are removed (I14), in batches with a commit each, so that intake never waits for a purge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

DEFAULT_BATCH_SIZE = 1_000

# Index idempotency_keys_by_expiry. A row that a new use is taking over is locked, and left alone. Materialized, as a
# planner that joins row by row would ask a sub-select anew for each, and so pass the limit.
PURGE = """
WITH expired AS MATERIALIZED (
    SELECT id FROM idempotency_idempotencykey WHERE expires_at <= statement_timestamp() - %(older_than)s
    ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_idempotencykey WHERE id IN (SELECT id FROM expired)
"""
COUNT = "SELECT count(*) FROM idempotency_idempotencykey WHERE expires_at <= statement_timestamp() - %(older_than)s"


@dataclass(frozen=True, kw_only=True)
class Purged:
    """How many keys were removed, or would be."""

    keys: int
    is_dry_run: bool


def nobody_asks(count: int) -> None:
    """For a purge that nobody watches."""


def purge(
    *,
    older_than: timedelta = timedelta(0),
    batch_size: int = DEFAULT_BATCH_SIZE,
    dry_run: bool = False,
    told: Callable[[int], None] = nobody_asks,
) -> Purged:
    """Removes keys that expired longer ago than this; `told` hears of each batch.

    Raises ValueError for a negative age or an empty batch.
    """
    if older_than < timedelta(0) or batch_size < 1:
        raise ValueError("The age must not be negative, and a batch has at least one row.")
    if dry_run:
        return Purged(keys=_count(older_than), is_dry_run=True)
    total = 0
    while (removed := _purge_batch(older_than, batch_size)) > 0:
        total += removed
        told(removed)
    return Purged(keys=total, is_dry_run=False)


def _count(older_than: timedelta) -> int:
    parameters: dict[str, Any] = {"older_than": older_than}  # psycopg takes an interval; the stubs do not know
    with connection.cursor() as cursor:
        cursor.execute(COUNT, parameters)
        return int(cursor.fetchone()[0])


def _purge_batch(older_than: timedelta, limit: int) -> int:
    parameters: dict[str, Any] = {"older_than": older_than, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(PURGE, parameters)
        return cursor.rowcount
