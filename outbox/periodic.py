"""Periodic work: a name, an interval, a function; run by beat and by the relay alike.

Guarantee: at most one run begins per interval, by a row in Postgres and the database's clock (F6, F10), however many
beats and relays tick. Not guaranteed: exactly one; a tick whose process dies runs again at the next interval, so every
tick is safe to repeat.

A module `ticks.py` in any app registers with @tick; it is found by autodiscovery.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection

# Beat's own period must not fall a hair short of the interval, or every second tick would find its work "done".
TOLERANCE = 0.8

CLAIM_TICK = """
INSERT INTO outbox_tick AS tick (name, ran_at) VALUES (%s, statement_timestamp())
ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at
WHERE tick.ran_at <= statement_timestamp() - make_interval(secs => %s)
RETURNING name
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class PeriodicWork:
    name: str
    every: timedelta
    run: Callable[[], object]


_registered: dict[str, PeriodicWork] = {}


def tick(name: str, *, every: timedelta) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Registers periodic work."""

    def register(run: Callable[[], object]) -> Callable[[], object]:
        _registered[name] = PeriodicWork(name=name, every=every, run=run)
        return run

    return register


def registered() -> list[PeriodicWork]:
    return list(_registered.values())


def is_registered(name: str) -> bool:
    return name in _registered


def run(name: str) -> bool:
    """Runs one tick unless its work was done within its interval; tells whether it ran."""
    work = _registered[name]
    if not _claim(work):
        return False
    work.run()
    return True


def run_due(*, besides: Collection[str] = ()) -> int:
    """Runs every tick that is due, besides those named; one that raises is logged and leaves the others alone.

    Returns how many ran.
    """
    count = 0
    for work in registered():
        if work.name in besides:
            continue
        try:
            count += run(work.name)
        except Exception:
            log.exception("outbox.tick_failed", tick=work.name)
            # A broken connection would fail every tick from now on; the next one connects anew.
            connection.close_if_unusable_or_obsolete()
    return count


def _claim(work: PeriodicWork) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_TICK, [work.name, (work.every * TOLERANCE).total_seconds()])
        return cursor.fetchone() is not None
