"""The audit over a million finished orders: the whole one, and the frequent one of what is new. Run with `--help`.

Every order has all its rows, made by the server with generate_series: nine of ten over the last six days, one of ten
within the last five minutes, as on a busy evening. Most are confirmed; one in fifty is declined, its stock released.
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks.place import cpu_seconds, place

CHUNK = 100_000
NEW_SHARE = 0.1
NEW = timedelta(minutes=6)

# Orders from the first to the last moment of a chunk; an id is a UUIDv7 of its own moment.
MADE = """
CREATE TEMPORARY TABLE made AS
SELECT n, at, uuidv7(at - clock_timestamp()) AS order_id, uuidv7(at - clock_timestamp()) AS saga_id,
       uuidv7(at - clock_timestamp()) AS key, n %% 50 = 0 AS declined
FROM (SELECT n, %(first)s::timestamptz + n * (%(last)s::timestamptz - %(first)s::timestamptz) / %(count)s AS at
      FROM generate_series(1, %(count)s) n) moments
"""
TABLES = (
    "CREATE INDEX ON made (order_id)",
    "ANALYZE made",
    """
    INSERT INTO orders_order (id, customer_id, status, reason, currency, total_minor, payment_method, sequence,
        placed_at, ended_at)
    SELECT order_id, 1, CASE WHEN declined THEN 'rejected' ELSE 'confirmed' END,
           CASE WHEN declined THEN 'payment_declined' ELSE '' END, 'EUR', 999, 'tok_ok', 2, at, at + interval '1 second'
    FROM made
    """,
    """
    INSERT INTO orders_orderline (order_id, sku, quantity, unit_price_minor, line_total_minor)
    SELECT order_id, 'SKU-' || n % 100, 1, 999, 999 FROM made
    """,
    """
    INSERT INTO inventory_reservation (order_id, sku, quantity, state, created_at, ended_at)
    SELECT order_id, 'SKU-' || n % 100, 1, CASE WHEN declined THEN 'released' ELSE 'committed' END, at,
           at + interval '1 second' FROM made
    """,
    """
    INSERT INTO sagas_saga (id, name, version, subject_id, status, direction, current_step, reason, data, data_version,
        deadline_at, last_error, started_at, ended_at)
    SELECT saga_id, 'fulfil_order', 1, order_id, CASE WHEN declined THEN 'compensated' ELSE 'completed' END,
           CASE WHEN declined THEN 'backward' ELSE 'forward' END, 'confirm_order',
           CASE WHEN declined THEN 'payment_declined' ELSE '' END,
           '{"lines": [["SKU", 1]], "currency": "EUR", "amount_minor": 999, "payment_method": "tok_ok"}', 1,
           at + interval '1 day', '', at, at + interval '1 second'
    FROM made
    """,
    """
    INSERT INTO sagas_sagastep (saga_id, name, position, status, attempts, started_at, called_at, finished_at, output,
        error, undo_status, undo_attempts, undo_started_at, undo_finished_at, undo_output, undo_error)
    SELECT saga_id, step.name, step.position, CASE WHEN declined AND step.position = 1 THEN 'refused' ELSE 'done' END,
           1, at + step.position * interval '10 ms', CASE WHEN step.position IN (1, 2) THEN at END,
           at + (step.position + 1) * interval '10 ms', '{}', '',
           CASE WHEN declined AND step.position = 0 THEN 'done' ELSE '' END, 0,
           CASE WHEN declined AND step.position = 0 THEN at + interval '500 ms' END,
           CASE WHEN declined AND step.position = 0 THEN at + interval '600 ms' END, '{}', ''
    FROM made JOIN (VALUES ('reserve_stock', 0), ('charge_payment', 1), ('create_shipment', 2), ('confirm_order', 3))
        step(name, position) ON NOT declined OR step.position < 2
    """,
    """
    INSERT INTO payments_payment (id, order_id, provider_key, provider_reference, payment_method, amount_minor,
        captured_minor, refunded_minor, currency, status, reason, sequence, created_at, updated_at)
    SELECT uuidv7(at - clock_timestamp()), order_id, saga_id || ':charge_payment',
           CASE WHEN declined THEN '' ELSE saga_id::text END, 'tok_ok', 999, CASE WHEN declined THEN 0 ELSE 999 END, 0,
           'EUR', CASE WHEN declined THEN 'declined' ELSE 'captured' END, '', 1, at, at
    FROM made
    """,
    """
    INSERT INTO shipping_shipment (id, order_id, provider_key, provider_reference, tracking_number, lines, status,
        reason, sequence, created_at, updated_at)
    SELECT uuidv7(at - clock_timestamp()), order_id, saga_id || ':create_shipment', saga_id, saga_id,
           jsonb_build_array(jsonb_build_array('SKU-' || n % 100, 1)), 'created', '', 1, at, at
    FROM made WHERE NOT declined
    """,
    """
    INSERT INTO notifications_notification (id, order_id, kind, recipient_id, status, facts, error, noted_at, sent_at)
    SELECT uuidv7(at - clock_timestamp()), order_id, CASE WHEN declined THEN 'rejected' ELSE 'confirmed' END, 1, 'sent',
           '{}', '', at, at
    FROM made
    """,
    """
    INSERT INTO outbox_outboxmessage (key, message_id, destination, type, aggregate_type, aggregate_id, sequence,
        order_free, correlation_id, payload, headers, state, due_at, attempts, epoch, last_error, created_at,
        finished_at)
    SELECT uuidv7(at - clock_timestamp()), uuidv7(at - clock_timestamp()), m.destination, m.type,
           CASE WHEN m.sequence IS NULL THEN 'saga' ELSE 'order' END,
           CASE WHEN m.sequence IS NULL THEN saga_id ELSE order_id END, m.sequence, m.sequence IS NULL, order_id,
           jsonb_build_object('orderId', order_id, 'customerId', '1', 'totalAmount', '9.99', 'currency', 'EUR'), '{}',
           'done', at, 1, 1, '', at, at + coalesce(m.sequence, 1) * interval '10 ms'
    FROM made CROSS JOIN LATERAL (VALUES
        ('orders.start_fulfilment', 'order.created.v1', 1),
        ('fulfil_order.reserve_stock', 'saga.step_due.v1', NULL),
        ('fulfil_order.charge_payment', 'saga.step_due.v1', NULL),
        ('fulfil_order.create_shipment', 'saga.step_due.v1', NULL),
        ('fulfil_order.confirm_order', 'saga.step_due.v1', NULL),
        ('notifications.order_' || CASE WHEN declined THEN 'rejected' ELSE 'confirmed' END,
         'order.' || CASE WHEN declined THEN 'rejected' ELSE 'confirmed' END || '.v1', 2)
    ) m(destination, type, sequence)
    """,
    """
    INSERT INTO outbox_inboxmessage (consumer, message_id, received_at)
    SELECT m.destination, m.message_id, m.finished_at FROM made
    JOIN outbox_outboxmessage m ON m.aggregate_id IN (made.order_id, made.saga_id)
    """,
    """
    INSERT INTO idempotency_idempotencykey (id, caller, method, path, key, fingerprint, status_code, body, headers,
        resource_id, created_at, expires_at)
    SELECT key, 'user:1', 'POST', '/orders', key, sha256(key::text::bytea), 201,
           ('{"id":"' || order_id || '","status":"pending","currency":"EUR","total":"9.99"}')::bytea, '{}', order_id,
           at, at + interval '1 day'
    FROM made WHERE at > now() - interval '1 day'
    """,
    "DROP TABLE made",
)
PRODUCTS = """
INSERT INTO inventory_stockitem (sku, on_hand, reserved) SELECT 'SKU-' || n, 1000000, 0 FROM generate_series(0, 99) n;
INSERT INTO auth_user (id, username, password, is_superuser, is_staff, is_active, first_name, last_name, email,
    date_joined)
VALUES (1, 'ann', '', false, false, true, '', '', '', now())
"""


def fill(connection: psycopg.Connection[Any], orders: int) -> datetime:
    """All rows of that many finished orders, in chunks, in the order of time; returns since when it was busy."""
    now = datetime.now(UTC) - timedelta(minutes=2)
    new_from = now - (NEW - timedelta(minutes=2))
    old = int(orders * (1 - NEW_SHARE))
    connection.execute("SET synchronous_commit = off; SET session_replication_role = replica; SET work_mem = '256MB'")
    connection.execute(PRODUCTS)
    _fill_span(connection, old, now - timedelta(days=6), new_from)
    _fill_span(connection, orders - old, new_from, now)
    connection.execute("VACUUM ANALYZE")
    return new_from


def _fill_span(connection: psycopg.Connection[Any], orders: int, first: datetime, last: datetime) -> None:
    chunks = max(1, -(-orders // CHUNK))
    for number in range(chunks):
        count = orders // chunks
        span = (last - first) / chunks
        parameters = {"count": count, "first": first + number * span, "last": first + (number + 1) * span}
        connection.execute(MADE, parameters)
        for statement in TABLES:
            connection.execute(statement)


def measure(*, since: datetime | None, rounds: int) -> None:
    """Audits that often, and prints each one's seconds and the slowest checks of the last."""
    from django.db import connection  # only now does the environment name the settings

    from audit.report import audit_now

    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")  # one process, whose CPU time can be read
        cursor.execute("SELECT pg_backend_pid()")
        server = cursor.fetchone()[0]
    print("whole" if since is None else f"since {since:%H:%M:%S}")
    for _ in range(rounds):
        before = cpu_seconds([server])
        report = audit_now(at_rest=False, with_ledgers=False, since=since)
        cpu = cpu_seconds([server]) - before
        print(f"  {report.seconds:.1f} s, {cpu:.1f} s of Postgres' CPU  {json.dumps(report.judged)}", flush=True)
    for violation in report.violations:
        print("  !", violation.check, violation.count, violation.rows[:1])
    for name, seconds in sorted(report.taken.items(), key=lambda one: -one[1])[:12]:
        print(f"  {seconds:7.2f} s  {name}")


def run(*, since: datetime) -> None:
    """The tick's own way through the same orders, window by window."""
    from audit import runs  # as above
    from audit.models import AuditRun

    last = AuditRun(name=runs.NAME, began_at=since, judged_until=since, milliseconds=0)
    now = datetime.now(UTC)
    while last.judged_until < now:
        runs.run(last, now=now)
        last = AuditRun.objects.get(name=runs.NAME)
        print(f"  run: {last.milliseconds / 1000:.2f} s until {last.judged_until:%H:%M:%S}, last window {last.judged}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    with place() as here:
        began = time.monotonic()
        with here.connect() as connection:
            new_from = fill(connection, given.orders)
        print(f"filled {given.orders:,} orders in {time.monotonic() - began:.0f} s", flush=True)
        here.use_django()
        measure(since=None, rounds=given.rounds)
        measure(since=new_from, rounds=given.rounds)
        run(since=new_from)


if __name__ == "__main__":
    main()
