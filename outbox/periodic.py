"""Periodic work: a name, an interval, a function; run by beat and by the relay alike.

Guarantee: at most one run begins per interval, by a row in Postgres and the database's clock (F6, F10), however many
beats and relays tick. Not guaranteed: exactly one; a tick whose process dies runs again at the next interval, so every
tick is safe to repeat.

A module `ticks.py` in any app registers with @tick; it is found by autodiscovery.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

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
DUE = """
SELECT work.name
FROM unnest(%s::text[], %s::float8[]) WITH ORDINALITY AS work(name, seconds, place)
LEFT JOIN outbox_tick t ON t.name = work.name
WHERE t.name IS NULL OR t.ran_at <= statement_timestamp() - make_interval(secs => work.seconds)
ORDER BY work.place
"""

Result = TypeVar("Result")

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

    Returns how many ran. Which are due is asked for all at once: mostly none is.
    """
    due = _guarded("which are due", _due) or []
    return sum(_guarded(name, partial(run, name)) or False for name in due if name not in besides)


def _guarded(name: str, act: Callable[[], Result]) -> Result | None:
    try:
        return act()
    except Exception:
        log.exception("outbox.tick_failed", tick=name)
        # A broken connection would fail every tick from now on; the next one connects anew.
        connection.close_if_unusable_or_obsolete()
        return None


def _due() -> list[str]:
    """In the order in which they were registered. By outbox_tick's primary key."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, [list(_registered), [_least_seconds(work) for work in registered()]])
        return [name for (name,) in cursor.fetchall()]


def _least_seconds(work: PeriodicWork) -> float:
    return (work.every * TOLERANCE).total_seconds()


def _claim(work: PeriodicWork) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_TICK, [work.name, _least_seconds(work)])
        return cursor.fetchone() is not None
