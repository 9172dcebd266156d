"""What the outbox says of itself: a few ages beside readiness, and all of it to staff. It decides nothing.

Guarantee: `details` waits for the brokers at most BROKER_SECONDS, both asked at once. Not guaranteed: one moment for
all figures.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import current_app
from django.db import connection

from . import broker_depth, patience, periodic, rabbitmq
from .telemetry import BACKLOG

BROKER_SECONDS = 1.0
PROCESSES_MAX = 200

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
# Every destination that was ever rung or has something unfinished.
DESTINATIONS = f"""
SELECT coalesce(b.destination, d.name) AS destination, coalesce(b.open, 0) AS open, coalesce(b.due, 0) AS due,
       coalesce(b.dead, 0) AS dead, round(coalesce(b.lag_seconds, 0), 1)::float8 AS lag_seconds,
       round(coalesce(b.oldest_seconds, 0), 1)::float8 AS oldest_seconds,
       d.paused_until, CASE WHEN d.paused_until IS NOT NULL THEN d.pause_reason END AS pause_reason
FROM ({BACKLOG}) b
FULL JOIN (
    SELECT name, pause_reason, CASE WHEN paused_until > statement_timestamp() THEN paused_until END AS paused_until
    FROM outbox_destination
) d ON d.name = b.destination
ORDER BY 1
"""
PROCESSES = f"""
SELECT process, kind, round(extract(epoch FROM statement_timestamp() - seen_at), 1)::float8 AS age_seconds
FROM outbox_heartbeat ORDER BY seen_at DESC, process LIMIT {PROCESSES_MAX}
"""
TICKS = "SELECT name, round(extract(epoch FROM statement_timestamp() - ran_at), 1)::float8 FROM outbox_tick"


def measure() -> Mapping[str, Any]:
    """The age of the oldest open message by destination, and of the last heartbeat by kind of process, in seconds."""
    return {"oldest_open_seconds": _ages(OLDEST), "heartbeat_age_seconds": _ages(SEEN)}


def details() -> Mapping[str, Any]:
    """Lag and pauses by destination, who lives, when which tick last began, and whether the brokers answer."""
    return {
        "destinations": _rows(DESTINATIONS),
        "processes": _rows(PROCESSES),
        "ticks": _ticks(),
        "brokers": brokers(),
    }


def brokers() -> dict[str, Any]:
    """Whether Celery's broker answers, and RabbitMQ where events go there; None where there is none to ask."""
    asks = {"celery": _ask_celery, "events": _ask_rabbitmq if broker_depth.address() else None}
    with ThreadPoolExecutor(len(asks)) as pool:
        return dict(zip(asks, pool.map(_told, asks.values()), strict=True))


def _told(ask: Callable[[], None] | None) -> dict[str, Any] | None:
    if ask is None:
        return None
    began = time.monotonic()
    try:
        patience.within(BROKER_SECONDS, ask)
    except Exception as error:
        return {"answers": False, "error": rabbitmq.describe(error)}
    return {"answers": True, "milliseconds": round((time.monotonic() - began) * 1000, 1)}


def _ask_celery() -> None:
    with current_app.connection_for_write() as broker:
        # Not connect(), which tries twice with two seconds in between.
        broker.transport.close_connection(broker.transport.establish_connection())


def _ask_rabbitmq() -> None:
    where = broker_depth.address()
    if where is not None:
        rabbitmq.let_go(rabbitmq.connect(where, within_seconds=BROKER_SECONDS))


def _ticks() -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(TICKS)
        ages = dict(cursor.fetchall())
    return [
        {"name": work.name, "every_seconds": work.every.total_seconds(), "age_seconds": ages.get(work.name)}
        for work in periodic.registered()
    ]


def _rows(sql: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _ages(sql: str) -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return {name: round(float(age), 1) for name, age in sorted(cursor.fetchall())}
