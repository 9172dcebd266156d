"""The two Celery tasks of the project: answer a ring, run a tick. Both are safe to lose, double or delay."""

import threading
import time

import structlog
from celery import shared_task
from django.db import connection

from . import consumer, periodic
from .exceptions import UnknownDestination

# A connection that served a task so recently is not asked again whether it lives: under load that was one statement in
# twenty. One that was lost meanwhile costs its task, which is a ring, and is replaced by the next.
TRUSTED_SECONDS = 1.0

log = structlog.get_logger(__name__)
_thread = threading.local()


@shared_task(name="outbox.deliver")
def deliver(name: str) -> None:
    """Answers a ring for one destination inside."""
    _look_after_connection()
    try:
        consumer.deliver(name)
    except UnknownDestination:
        # A ring of newer code, or of the past: its messages wait for the code that knows them (F11).
        log.warning("outbox.unknown_destination", destination=name)


@shared_task(name="outbox.run_tick")
def run_tick(name: str) -> None:
    """Runs one piece of periodic work unless it was done within its interval."""
    _look_after_connection()
    if periodic.is_registered(name):
        periodic.run(name)
    else:
        log.warning("outbox.unknown_tick", tick=name)


def _look_after_connection() -> None:
    """Without it one terminated backend leaves the process failing for ever."""
    now = time.monotonic()
    if connection.errors_occurred or now - getattr(_thread, "served_at", 0.0) > TRUSTED_SECONDS:
        connection.close_if_unusable_or_obsolete()
    _thread.served_at = now
