"""Tables as they are after a long time: what ended by the million, and a little that has not.

What is rare is the oldest, where a walk from the newest finds it last.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connection

from benchmarks import growth

BIG = ("outbox_outboxmessage", "outbox_inboxmessage", "sagas_saga", "orders_order")
DESTINATION = "fulfil_order.reserve_stock"
RARE = "rare.destination"
FEW = 100

# Its time, then its number: as a UUIDv7 rises.
ID = "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid"
TIMES = f"""
SELECT n, at, {ID} AS id
FROM (SELECT n, now() - interval '31 days' + n::float8 / %(rows)s * interval '30 days' AS at
      FROM generate_series(1, %(rows)s::int) AS n) AS moments
"""
CUSTOMERS = """
INSERT INTO auth_user (username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
SELECT 'customer-' || n, '', '', '', '', false, false, true, now() FROM generate_series(1, 100) AS n
"""
ORDERS = f"""
INSERT INTO orders_order
  (id, customer_id, status, reason, currency, total_minor, payment_method, sequence, placed_at, ended_at)
SELECT id, (SELECT min(id) FROM auth_user WHERE username LIKE 'customer-%%') + n %% 100,
       CASE WHEN n <= {FEW} THEN 'cancelled' WHEN n > %(rows)s - {FEW} THEN 'pending'
            WHEN n %% 50 = 0 THEN 'rejected' ELSE 'confirmed' END,
       'out_of_stock', 'EUR', 5948, 'tok_ok', 2, at, CASE WHEN n <= %(rows)s - {FEW} THEN at + interval '1 second' END
FROM ({TIMES}) AS new
"""
SAGAS = f"""
INSERT INTO sagas_saga
  (id, name, version, subject_id, status, direction, current_step, reason, data, data_version, waiting_for, deadline_at,
   last_error, started_at, ended_at)
SELECT id, 'fulfil_order', 1, id,
       CASE WHEN n <= {FEW} THEN 'compensated' WHEN n <= {2 * FEW} THEN 'needs_attention'
            WHEN n > %(rows)s - {FEW} THEN 'running' ELSE 'completed' END,
       CASE WHEN n <= {2 * FEW} THEN 'backward' ELSE 'forward' END,
       'confirm_order', '', '{{}}', 1, CASE WHEN n > %(rows)s - {FEW} THEN id END, at + interval '1 day',
       CASE WHEN n > %(rows)s - {FEW // 2} THEN 'TimeoutError' ELSE '' END, at,
       CASE WHEN n <= {FEW} OR n BETWEEN {2 * FEW + 1} AND %(rows)s - {FEW} THEN at + interval '1 second' END
FROM ({TIMES}) AS new
"""
INBOX = f"""
INSERT INTO outbox_inboxmessage (consumer, message_id, received_at)
SELECT CASE WHEN n <= {FEW} THEN 'rare.consumer' ELSE 'grown.consumer_' || n %% 4 END, id, at FROM ({TIMES}) AS new
"""
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
    """So many delivered messages, and so many orders, sagas and inbox rows; some of each have not ended well."""
    with connect() as session:
        try:
            growth.fill(connect, messages)
            for change, rows in zip(CHANGES, UNUSUAL, strict=True):
                session.execute(f"UPDATE outbox_outboxmessage {change} {rows}")
            growth.publish(session, 5 * FEW, destination=DESTINATION)
            session.execute(CUSTOMERS)
            for table in (ORDERS, SAGAS, INBOX):
                session.execute(table, {"rows": others})
            session.execute("VACUUM (ANALYZE) outbox_outboxmessage, outbox_inboxmessage, sagas_saga, orders_order")
            yield
        finally:
            session.execute(f"TRUNCATE {', '.join(BIG)}, auth_user CASCADE")
