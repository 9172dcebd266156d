"""The two Celery tasks of the project: answer a ring, run a tick. Both are safe to lose, double or delay."""

import structlog
from celery import shared_task
from django.db import connection

from . import consumer, periodic
from .exceptions import UnknownDestination

log = structlog.get_logger(__name__)


@shared_task(name="outbox.deliver")
def deliver(name: str) -> None:
    """Answers a ring for one destination inside."""
    # Without it one terminated backend leaves the process failing for ever.
    connection.close_if_unusable_or_obsolete()
    try:
        consumer.deliver(name)
    except UnknownDestination:
        # A ring of newer code, or of the past: its messages wait for the code that knows them (F11).
        log.warning("outbox.unknown_destination", destination=name)


@shared_task(name="outbox.run_tick")
def run_tick(name: str) -> None:
    """Runs one piece of periodic work unless it was done within its interval."""
    connection.close_if_unusable_or_obsolete()
    if periodic.is_registered(name):
        periodic.run(name)
    else:
        log.warning("outbox.unknown_tick", tick=name)
