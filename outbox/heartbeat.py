"""Heartbeats of relay, workers and beat, and whether this process was asked to stop.

A heartbeat says that the process lives and reaches Postgres; not that it makes progress (the lag says that).
"""

import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db import connection

INTERVAL = timedelta(seconds=5)

BEAT = """
INSERT INTO outbox_heartbeat (process, kind, seen_at) VALUES (%s, %s, statement_timestamp())
ON CONFLICT (process) DO UPDATE SET seen_at = excluded.seen_at
"""
FORGET_SILENT = "DELETE FROM outbox_heartbeat WHERE seen_at < statement_timestamp() - interval '1 day'"

log = structlog.get_logger(__name__)
_stopping = threading.Event()
_beside: list[Callable[[], None]] = []


def beat(kind: str) -> None:
    """Says that this process, of this kind ("relay", "worker", "remote-worker", "beat"), is alive."""
    name = f"{os.environ.get('PROCESS_NAME', kind)}@{socket.gethostname()}"
    with connection.cursor() as cursor:
        cursor.execute(BEAT, [name, kind])


def beside(start_it: Callable[[], None]) -> None:
    """Has something started in every process that beats, once it begins to: what a layer above wants to run there."""
    if start_it not in _beside:
        _beside.append(start_it)


def start(kind: str) -> None:
    """Beats from a thread of its own until the process ends."""
    threading.Thread(target=_run, args=[kind], name="outbox-heartbeat", daemon=True).start()
    for start_it in _beside:
        start_it()


def forget_silent() -> None:
    """Forgets processes that nobody has seen for a day."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_SILENT)


def stop() -> None:
    """The process was asked to stop: what is in flight ends, nothing new begins."""
    _stopping.set()


def stopping() -> bool:
    return _stopping.is_set()


def wait(seconds: float) -> None:
    """Waits that long, or until the process is asked to stop."""
    _stopping.wait(seconds)


def _run(kind: str) -> None:
    while not _stopping.is_set():
        try:
            beat(kind)
        except Exception as error:
            log.warning("heartbeat.failed", kind=kind, error=str(error))
            connection.close()
        _stopping.wait(INTERVAL.total_seconds())
