"""An outbox that has grown: delivered messages by the million, and what waits among them.

Guarantees rows as the service leaves them (keys, message ids and ages rise together, all indexes and statistics in
place), a dozen seconds per million. Not guaranteed: that anything else of their orders exists.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

DESTINATION = "bench.destination"
TYPE = "bench.told.v1"

# Spread over eight destinations and over a month that ended a day ago; every fourth message is a saga's.
DELIVERED = """
INSERT INTO outbox_outboxmessage
  (key, id, message_id, destination, type, aggregate_type, aggregate_id, sequence, order_free, correlation_id, payload,
   headers, state, due_at, attempts, epoch, claimed_at, last_error, created_at, finished_at)
SELECT key, id, key, 'grown.destination_' || id %% 8, 'grown.told.v1', 'order', key,
       CASE WHEN id %% 4 > 0 THEN 1 END, id %% 4 = 0, key,
       '{"orderId": "0197c2a4-0000-7000-8000-000000000000", "currency": "EUR", "total": "59.48", "items": 3}',
       '{"correlationId": "0197c2a4-0000-7000-8000-000000000000"}',
       'done', told_at, 1, 1, told_at, '', told_at, told_at + interval '1 second'
FROM (SELECT id, told_at, (lpad(to_hex((extract(epoch FROM told_at) * 1000)::bigint), 12, '0')
                           || '70008000' || lpad(to_hex(id), 12, '0'))::uuid AS key
      FROM (SELECT nextval('outbox_message_number') AS id,
                   now() - interval '31 days' + n::float8 / %(messages)s * interval '30 days' AS told_at
            FROM generate_series(%(first)s::int, %(last)s) AS n) AS counted) AS new
"""
DUE = """
INSERT INTO outbox_outboxmessage
  (key, message_id, destination, type, aggregate_type, aggregate_id, order_free, correlation_id, payload, headers,
   state, attempts, epoch, last_error)
SELECT key, key, %s, %s, 'bench', key, false, key, '{"text": "nothing"}', '{}', 'open', 0, 0, ''
FROM (SELECT uuidv7() AS key FROM generate_series(1, %s)) AS new
"""
KEYS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'outbox_outboxmessage'::regclass AND contype IN ('p', 'u')
"""


def fill(connect: Callable[[], psycopg.Connection[Any]], messages: int) -> None:
    """Adds so many delivered messages, half of them on each of two connections."""
    halves = [(1, messages // 2), (messages // 2 + 1, messages)]
    with connect() as connection:
        with _without_keys(connection), ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda half: _add(connect, messages, half), halves))
        connection.execute("VACUUM (ANALYZE) outbox_outboxmessage")


def _add(connect: Callable[[], psycopg.Connection[Any]], messages: int, part: tuple[int, int]) -> None:
    with connect() as connection:
        connection.execute(DELIVERED, {"messages": messages, "first": part[0], "last": part[1]})


def publish(connection: psycopg.Connection[Any], messages: int, *, destination: str = DESTINATION) -> None:
    """Adds so many messages that are due, each of an aggregate of its own."""
    connection.execute(DUE, [destination, TYPE, messages])


@contextmanager
def _without_keys(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Keys are built once at the end: five times as fast as row by row."""
    keys = connection.execute(KEYS).fetchall()
    for name, _ in keys:
        connection.execute(sql.SQL("ALTER TABLE outbox_outboxmessage DROP CONSTRAINT {}").format(sql.Identifier(name)))
    connection.execute("SET maintenance_work_mem = '512MB'")
    yield
    for name, definition in keys:
        connection.execute(
            sql.SQL("ALTER TABLE outbox_outboxmessage ADD CONSTRAINT {} {}").format(
                sql.Identifier(name), sql.SQL(definition)
            )
        )
