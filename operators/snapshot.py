"""Everything that the live page shows, read once for all who look at it.

Guarantee: one read per LIFETIME_SECONDS and process, however many look; each figure has its own savepoint and a
statement timeout, so that a slow or broken one costs only its panel; after PAGE_SECONDS the rest is left out. Not
guaranteed: one moment; and a database that is away takes the page with it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from audit import live as audit
from orders import live as orders
from outbox import live as outbox
from providers import selectors as providers
from sagas import live as sagas

from . import brokers, counters

log = structlog.get_logger(__name__)

LIFETIME_SECONDS = 2.0
STATEMENT_MILLISECONDS = 500
PAGE_SECONDS = 1.5

# Nine statements, whatever there is to show; each says in its app which index serves it.
READS: Mapping[str, Callable[[], Any]] = {
    "heartbeats": outbox.heartbeats,
    "breakers": providers.breakers,
    "audit": audit.findings,
    "sagas": sagas.standing,
    "waiting": outbox.waiting,
    "failures": outbox.failures,
    "steps": sagas.step_times,
    "orders": orders.pace,
}
# In no table.
ELSEWHERE: Mapping[str, Callable[[], Any]] = {"requests": counters.look, "brokers": brokers.look}


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Why a figure is not there; its panel says it."""

    reason: str
    is_missing: bool = True


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Each figure by its name in READS or ELSEWHERE: what the read answered, or Missing."""

    taken_at: datetime
    figures: Mapping[str, Any]

    def known(self, name: str) -> Any:
        """The figure; None when it is missing."""
        figure = self.figures[name]
        return None if isinstance(figure, Missing) else figure


class Latest:
    """The newest snapshot of this process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._until = 0.0

    def get(self) -> Snapshot:
        """At most LIFETIME_SECONDS old, or a little more while another thread reads the next one."""
        snapshot = self._snapshot
        if snapshot is not None and time.monotonic() < self._until:
            return snapshot
        if not self._turn.acquire(blocking=snapshot is None):
            assert snapshot is not None  # noqa: S101 - else this thread had waited
            return snapshot
        try:
            return self._read()
        finally:
            self._turn.release()

    def forget(self) -> None:
        """Somebody changed something: whoever looks next reads anew."""
        self._until = 0.0

    def _read(self) -> Snapshot:
        if self._snapshot is None or time.monotonic() >= self._until:
            self._snapshot = take()
            self._until = time.monotonic() + LIFETIME_SECONDS
        return self._snapshot


latest = Latest()


def take() -> Snapshot:
    """Reads everything now."""
    figures: dict[str, Any] = {}
    deadline = time.monotonic() + PAGE_SECONDS
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{STATEMENT_MILLISECONDS}ms"])
        for name, read in READS.items():
            figures[name] = _read(name, read, deadline)
    for name, read in ELSEWHERE.items():
        figures[name] = _figure(name, read)
    return Snapshot(taken_at=timezone.now(), figures=figures)


def _read(name: str, read: Callable[[], Any], deadline: float) -> Any:
    if time.monotonic() > deadline:
        return Missing(reason="left out: the figures before it took too long")

    def within_savepoint() -> Any:
        with transaction.atomic():
            return read()

    return _figure(name, within_savepoint)


def _figure(name: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except OperationalError as error:
        if not connection.is_usable():
            raise
        log.warning("live.slow_figure", figure=name, error=str(error))
        return Missing(reason=f"no answer within {STATEMENT_MILLISECONDS} ms")
    except Exception:
        # A page for when something is wrong: what is wrong here must not hide the rest.
        log.exception("live.broken_figure", figure=name)
        return Missing(reason="could not be read; the log says why")
