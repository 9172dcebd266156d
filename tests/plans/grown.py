"""Tables as they are after a long time: what ended by the million, and a little that has not.

What is rare is the oldest, where a walk from the newest finds it last.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connection

from benchmarks import growth

from .grown_rows import CUSTOMERS, FEW, MOMENTS, ROWS, TABLES

BIG = ("outbox_outboxmessage", *TABLES)
# What statements call them: the inbox is listed through a view.
NAMES = (*BIG, "outbox_inboxentry")
DESTINATION = "fulfil_order.reserve_stock"
RARE = "rare.destination"

# Of the oldest: some that a person skipped, some that are dead, and the last ones for a destination that is gone.
UNUSUAL = [
    f"WHERE key IN (SELECT key FROM outbox_outboxmessage ORDER BY key LIMIT {FEW})",
    f"WHERE key IN (SELECT key FROM outbox_outboxmessage ORDER BY key OFFSET {FEW} LIMIT {FEW})",
    f"WHERE key IN (SELECT key FROM outbox_outboxmessage ORDER BY key OFFSET {2 * FEW} LIMIT {FEW})",
]
CHANGES = [
    "SET state = 'skipped'",
    f"SET state = 'dead', finished_at = NULL, order_free = false, destination = '{DESTINATION}'",
    f"SET destination = '{RARE}'",
]


def connect() -> psycopg.Connection[Any]:
    """A session with the test's database, without the service's limits."""
    server = urlsplit(os.environ["DATABASE_URL"])
    return psycopg.connect(server._replace(path=f"/{connection.settings_dict['NAME']}").geturl(), autocommit=True)


@contextmanager
def grown(*, messages: int, others: int) -> Iterator[None]:
    """So many delivered messages, and so many orders with all that is theirs; some of each have not ended well."""
    with connect() as session:
        try:
            growth.fill(connect, messages)
            for change, rows in zip(CHANGES, UNUSUAL, strict=True):
                session.execute(f"UPDATE outbox_outboxmessage {change} {rows}")
            growth.publish(session, 5 * FEW, destination=DESTINATION)
            for statement in (MOMENTS, CUSTOMERS):
                session.execute(statement, {"rows": others})
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda statement: _write(statement, others), ROWS))
            session.execute(f"VACUUM (ANALYZE) {', '.join(BIG)}")
            yield
        finally:
            session.execute(f"TRUNCATE {', '.join(BIG)} CASCADE")
            session.execute("DELETE FROM auth_group WHERE name = 'grown'")
            session.execute("DROP TABLE IF EXISTS moment")


def _write(statement: str, rows: int) -> None:
    """Rows name each other as they must; to look that up for each takes longer than to write them."""
    with connect() as session:
        session.execute("SET session_replication_role = replica")
        session.execute(statement, {"rows": rows})
