"""Wake-up: tells the relay, by NOTIFY, that something was committed.

Not guaranteed, and nothing depends on it: a lost wake-up costs at most one poll interval. NOTIFY inside the writing
transaction takes a lock that serialises every commit of the database, and one per request still costs a quarter of the
throughput, so one background thread per process sends at most one every few milliseconds, outside any transaction.
"""

import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from django.db import connection, transaction

from . import routing

CHANNEL = "outbox"
# At most one NOTIFY in this time: under load one wake-up serves all commits since the last.
MIN_INTERVAL_SECONDS = 0.005

log = structlog.get_logger(__name__)
_collected: ContextVar[set[str] | None] = ContextVar("outbox_published_destinations", default=None)


def after_commit(destinations: Collection[str]) -> None:
    """Called by the publisher. In a worker the destinations are collected, since the worker rings them itself."""
    collected = _collected.get()
    if collected is not None:
        collected.update(destinations)
        if all(routing.is_inside(name) for name in destinations):
            return
    # Robust: what was committed stands, and a request that cannot wake anybody must not answer that it failed.
    transaction.on_commit(_thread.wake, robust=True)


@contextmanager
def collecting() -> Iterator[set[str]]:
    """Collects the destinations inside that are published to, for a worker that rings after its batch."""
    destinations: set[str] = set()
    token = _collected.set(destinations)
    try:
        yield destinations
    finally:
        _collected.reset(token)


def take_collected() -> set[str]:
    """What was collected so far, to be rung now: a long run need not end before its next steps begin."""
    collected = _collected.get()
    if not collected:
        return set()
    taken = set(collected)
    collected.clear()
    return taken


class WakeUpThread:
    """Sends NOTIFY from a thread of its own; started by the first wake-up of a process, again after a fork."""

    def __init__(self) -> None:
        self._due = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None

    def wake(self) -> None:
        if self._pid != os.getpid():
            self._start()
        self._due.set()

    def _start(self) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._due = threading.Event()
                threading.Thread(target=self._run, name="outbox-wakeup", daemon=True).start()
                self._pid = os.getpid()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"NOTIFY {CHANNEL}")
            except Exception as error:
                # The relay polls: nothing is lost but a moment. The next wake-up connects anew.
                log.warning("outbox.wakeup_failed", error=str(error))
                connection.close()
            time.sleep(MIN_INTERVAL_SECONDS)


_thread = WakeUpThread()
