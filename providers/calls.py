"""The calls of one gate: those that run, each in a thread, and those that wait in line for the next free one.

Guarantees: at most `most()` calls run when one begins; a thread whose call ended takes the first in line at once; who
was taken out of the line is never begun. A call does not begin past its deadline and can see it (`deadline`). Does not
guarantee that who waits in line is begun: the gate takes back whoever waited in vain. Never touches the database.
"""

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog

from providers import deadline
from providers.errors import OutcomeUnknown, Unavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)


class NotBegun(Unavailable):
    """The call waited in line in vain: it was never made, and says nothing about the provider."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A call that only needs a thread; `perform` runs it in its caller's context. `since` is monotonic."""

    perform: Callable[[], Any]
    future: Future[Any]
    since: float


class Calls:
    """`most` says how many may run now; `ended` hears what a call came to and when it began, before its future does."""

    def __init__(self, name: str, *, most: Callable[[], int], ended: Callable[[object, float], None]) -> None:
        self._name = name
        self._most = most
        self._ended = ended
        self._lock = threading.Lock()
        self._running = 0
        self._line: deque[Ready] = deque()

    def submit(self, call: Callable[[], T], *, ends_at: float) -> Future[T]:
        """Begins the call, or puts it in line; its future raises NotBegun when it waited in vain."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        perform = partial(contextvars.copy_context().run, partial(_in_time, call, ends_at))
        ready = Ready(perform=perform, future=future, since=time.monotonic())
        if self._begins_at_once(ready):
            self._start_thread(ready)
        return future

    def leave_line(self, future: Future[Any]) -> bool:
        """Takes this call out of the line; False when it is not in it (any more)."""
        with self._lock:
            found = [ready for ready in self._line if ready.future is future]
            for ready in found:
                self._line.remove(ready)
        return bool(found)

    def take_back(self, *, waited_seconds: float) -> list[Ready]:
        """Takes out of the line who has waited for so long. Whoever asks resolves their futures."""
        since = time.monotonic() - waited_seconds
        late: list[Ready] = []
        with self._lock:
            while self._line and self._line[0].since <= since:
                late.append(self._line.popleft())
        return late

    def _begins_at_once(self, ready: Ready) -> bool:
        with self._lock:
            begins = self._running < self._most()
            if begins:
                self._running += 1
            else:
                self._line.append(ready)
        return begins

    def _start_thread(self, ready: Ready) -> None:
        # A daemon, bounded by the slots: an executor's threads would be joined, and hang, at exit.
        thread = threading.Thread(target=self._run, args=(ready,), name=f"call-{self._name}", daemon=True)
        try:
            thread.start()
        except BaseException:
            with self._lock:
                self._running -= 1
            raise

    def _run(self, ready: Ready) -> None:
        """One call after the other, while somebody waits in line."""
        following: Ready | None = ready
        while following:
            self._make(following)
            following = self._next()

    def _make(self, ready: Ready) -> None:
        began_at = time.monotonic()
        try:
            result = ready.perform()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits for the call
            self._tell_ended(error, began_at)
            # One that would end this thread ends nobody else's: for whoever waits it is an error like any other.
            kept = error if isinstance(error, Exception) else RuntimeError(f"call ended by {error!r}")
            ready.future.set_exception(kept)
        else:
            self._tell_ended(result, began_at)
            ready.future.set_result(result)

    def _tell_ended(self, result: object, began_at: float) -> None:
        """Whatever comes of telling, the answer reaches whoever waits for it, and the thread goes on."""
        try:
            self._ended(result, began_at)
        except Exception as error:
            log.warning("provider.end_not_counted", provider=self._name, exc_info=error)

    def _next(self) -> Ready | None:
        """Who has waited longest, in the place of the call that ended; None ends the thread."""
        with self._lock:
            following = self._line.popleft() if self._line and self._running <= self._most() else None
            self._running -= following is None
        return following


def _in_time(call: Callable[[], T], ends_at: float) -> T:
    """Calls, unless the time for it is over: a process that was frozen may wake up long after its intent (I13)."""
    with deadline.ends_at(ends_at):
        if time.monotonic() >= ends_at:
            raise OutcomeUnknown("no time left to ask")
        return call()
