"""What the outbox says of itself beside readiness; it decides nothing."""

from collections.abc import Mapping
from typing import Any

from django.db import connection

# Index outbox_open: the oldest open message of each destination that has one is read, never the whole backlog.
OLDEST = """
SELECT d.name, extract(epoch FROM statement_timestamp() - oldest.created_at)
FROM outbox_destination d
CROSS JOIN LATERAL (
    SELECT m.created_at FROM outbox_outboxmessage m
    WHERE m.destination = d.name AND m.state = 'open' AND m.scheduled_for IS NULL
    ORDER BY m.id LIMIT 1
) oldest
"""
SEEN = "SELECT kind, extract(epoch FROM statement_timestamp() - max(seen_at)) FROM outbox_heartbeat GROUP BY kind"


def measure() -> Mapping[str, Any]:
    """The age of the oldest open message by destination, and of the last heartbeat by kind of process, in seconds."""
    return {"oldest_open_seconds": _ages(OLDEST), "heartbeat_age_seconds": _ages(SEEN)}


def _ages(sql: str) -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return {name: round(float(age), 1) for name, age in sorted(cursor.fetchall())}
