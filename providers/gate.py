"""How many calls to one provider may start now: one gate per provider and process.

Guarantees: never more than `call_slots` calls under way, a hanging one included until its thread ends, and fewer while
the provider turns calls away (`slots`); none while the breaker is open; one over all processes when it is tried again,
and few after that. A call has its slot before its message is claimed or, while calls are quick, a place in the line for
the next one (`calls`), which it leaves undone when it waited in vain.
Does not guarantee a deadline: the caller waits as long as it chooses, then gives the call up.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from providers import breaker, telemetry
from providers.calls import Calls, NotBegun
from providers.conf import for_provider
from providers.errors import InFlight, ProviderError, Refused, Unavailable
from providers.models import BreakerState
from providers.slots import End, Slots

T = TypeVar("T")

# Answers that are no receipt, of a provider that works as it should.
WELL = (Refused, InFlight)
# A call that was given up is a TimeoutError too, whoever gave it up.
FAILED = (ProviderError, TimeoutError)

# The breaker's row is read at most this often per process: a stale answer costs one call to a failing provider.
READING_MAX_AGE_SECONDS = 0.25
# Who has waited in line for so long is taken back: the slots are held by slow calls, and others may have free ones.
WAIT_MAX_SECONDS = 1.0
# A thread that is away for this many deadlines after it was given up is lost.
LOST_AFTER_DEADLINES = 5


@dataclass
class _Trial:
    """The one call this process may make to find out whether the provider is back; its thread decides by reporting."""

    epoch: int
    thread_id: int
    started: bool = False


class Gate:
    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.limits = for_provider(provider)
        self.total_deadline = self.limits.total_deadline
        self.in_flight_horizon = self.limits.in_flight_horizon
        self._lock = threading.Lock()
        # Slots and places in the line: reserved, running and waiting.
        self._taken = 0
        self._slots = Slots(least=self.limits.call_slots_min, most=self.limits.call_slots)
        self._calls = Calls(provider, most=self._most, ended=self._call_ended)
        # What the breaker's row said when this process last heeded it: (epoch, retry_at).
        self._heeded: tuple[int, datetime | None] = (0, None)
        self._given_up: dict[Future[Any], float] = {}
        self._reading: tuple[breaker.Reading, float] | None = None
        self._trial: _Trial | None = None

    # ── slots ──

    def admit(self, wanted: int) -> int:
        """Reserves slots, or places in the line, for at most `wanted` calls; each is submitted or released."""
        self._take_back(waited_seconds=WAIT_MAX_SECONDS)
        reserved = self._reserve(wanted)
        allowed = 0
        try:
            if reserved:
                self._read()  # which may say that there are fewer slots than a moment ago
                allowed = self._allowed(self._still_free(reserved))
        finally:
            self._free(reserved - allowed)
        return allowed

    def release(self, count: int) -> None:
        """Gives back slots that found no call to make, and with them a trial that did not start."""
        self._free(count)
        trial = self._own_trial()
        if count and trial and not trial.started:
            self._leave_trial()

    def submit(self, call: Callable[[], T], *, ends_at: float) -> Future[T]:
        """Runs `call` in a thread, on a reserved place that is free again when it ends.

        `ends_at` is the monotonic moment by which the attempt must be over: past it, the call does not begin.
        """
        future = self._calls.submit(call, ends_at=ends_at)
        trial = self._own_trial()
        if trial:
            trial.started = True
        return future

    def was_made(self, result: object) -> bool:
        """Whether a call that came to this was begun at all."""
        return not isinstance(result, NotBegun)

    def _take_back(self, *, waited_seconds: float) -> None:
        """Those that have waited for so long are not begun, and for a while nobody waits any more."""
        late = self._calls.take_back(waited_seconds=waited_seconds)
        if late:
            with self._lock:
                self._taken -= len(late)
                self._slots.let_nobody_wait()
        for ready in late:
            ready.future.set_exception(NotBegun("waited for a slot in vain"))

    def _reserve(self, wanted: int) -> int:
        with self._lock:
            reserved = max(0, min(wanted, self._left()))
            self._taken += reserved
        return reserved

    def _still_free(self, reserved: int) -> int:
        """Of slots that were reserved a moment ago, those that there still are."""
        with self._lock:
            return max(0, reserved + min(0, self._left()))

    def _left(self) -> int:
        """Slots and places in the line that nobody took; below zero when they were cut under calls that still run."""
        return self._most() + self._slots.ahead - self._taken

    def _most(self) -> int:
        """How many calls may run now.

        A call that was given up counts against the maximum alone: a few that never come back must not be all there is.
        """
        return min(self._slots.size + len(self._given_up), self.limits.call_slots)

    def _free(self, count: int) -> None:
        with self._lock:
            self._taken -= count

    def _call_ended(self, result: object, began_at: float) -> None:
        """Frees the call's slot, and lets the slots learn from how it ended."""
        with self._lock:
            self._slots.call_ended(_end_of(result), began_at=began_at, now=time.monotonic(), under_way=self._taken)
            self._taken -= 1
        if isinstance(result, Unavailable):
            self._take_back(waited_seconds=0.0)
        self._tell_slots()

    def _heed(self, reading: breaker.Reading) -> None:
        """A pause or an opening since this process last looked, over or not: it begins with few slots."""
        said = (reading.epoch, reading.retry_at)
        if said != self._heeded:
            with self._lock:
                self._heeded = said
                self._slots.begin_with_few(now=time.monotonic())
            self._take_back(waited_seconds=0.0)
            self._tell_slots()

    def _tell_slots(self) -> None:
        telemetry.CALL_SLOTS.labels(self.provider).set(self._slots.size)

    # ── calls given up ──

    def give_up(self, future: Future[Any]) -> None:
        """Stops waiting for a call; its slot stays taken until its thread ends. One in line was never made."""
        if self._calls.leave_line(future):
            self._free(1)
            future.set_exception(NotBegun("given up in line"))
            return
        with self._lock:
            self._given_up[future] = time.monotonic()
        future.add_done_callback(self._came_back)

    def overstayed(self) -> int:
        """Calls given up long ago whose thread still hangs. A process that lost several should end itself.

        A slow server's threads come back after a while: to end the process for them would cut what others call.
        """
        given_up_before = time.monotonic() - LOST_AFTER_DEADLINES * self.limits.total_deadline_seconds
        with self._lock:
            return sum(1 for moment in self._given_up.values() if moment <= given_up_before)

    def _came_back(self, future: Future[Any]) -> None:
        with self._lock:
            del self._given_up[future]

    # ── breaker ──

    def paused_until(self) -> datetime | None:
        """When a trial may start, or an asked-for pause ends, by the database clock; None while calls may start."""
        reading, elapsed = self._read()
        return reading.paused_until(elapsed=elapsed)

    def observe(self, results: Sequence[object]) -> None:
        """Reports how calls ended: what they returned, or the exception that came instead of it.

        An error of our own (a TypeError), or a call that was never made, says nothing about the provider.
        """
        made = [result for result in results if self.was_made(result)]
        answered = [result for result in made if isinstance(result, WELL) or not isinstance(result, BaseException)]
        failed = [result for result in made if isinstance(result, FAILED) and not isinstance(result, WELL)]
        waits = [result.retry_after_seconds or 0.0 for result in failed if isinstance(result, ProviderError)]
        if answered or failed:
            self.report(successes=len(answered), failures=len(failed), retry_after_seconds=max(waits, default=0.0))
        elif results:
            self._leave_trial()

    def report(self, *, successes: int, failures: int, retry_after_seconds: float | None = None) -> None:
        """Tells the breaker how calls ended (a refusal is a success: the provider is well). Not from call threads."""
        trial = self._own_trial()
        if not successes and not failures:
            return
        if trial and trial.started:
            self._end_trial()
            self._report_trial(trial, succeeded=successes > 0, retry_after_seconds=retry_after_seconds or 0.0)
            return
        if successes:
            self._report_successes()
        else:
            breaker.count_failures(self.provider, failures=failures, limits=self.limits)
            self._reading = None
        if retry_after_seconds:
            breaker.pause(self.provider, seconds=min(retry_after_seconds, self.limits.retry_after_max_seconds))
            self._reading = None

    def _report_successes(self) -> None:
        reading, _ = self._read()
        if reading.state == BreakerState.CLOSED and reading.failures:
            breaker.forget_failures(self.provider)
            self._reading = None

    def _report_trial(self, trial: _Trial, *, succeeded: bool, retry_after_seconds: float) -> None:
        if succeeded:
            breaker.close_after_trial(self.provider, epoch=trial.epoch)
        else:
            breaker.open_after_trial(
                self.provider, epoch=trial.epoch, limits=self.limits, at_least_seconds=retry_after_seconds
            )

    def _leave_trial(self) -> None:
        """A trial of this thread that found out nothing is the next caller's."""
        if trial := self._own_trial():
            self._end_trial()
            breaker.give_back_trial(self.provider, epoch=trial.epoch)

    def _allowed(self, wanted: int) -> int:
        reading, elapsed = self._read()
        if not wanted or reading.paused_until(elapsed=elapsed):
            return 0
        if reading.state == BreakerState.CLOSED:
            return wanted
        epoch = breaker.take_trial(self.provider, epoch=reading.epoch, limits=self.limits)
        self._reading = None
        if epoch is None:
            return 0
        self._trial = _Trial(epoch=epoch, thread_id=threading.get_ident())
        return 1

    def _read(self) -> tuple[breaker.Reading, timedelta]:
        """The breaker's row, at most 250 ms old, and how old it is."""
        cached = self._reading
        if cached is None or time.monotonic() - cached[1] > READING_MAX_AGE_SECONDS:
            cached = self._reading = (breaker.read(self.provider), time.monotonic())
            self._heed(cached[0])
        return cached[0], timedelta(seconds=time.monotonic() - cached[1])

    def _own_trial(self) -> _Trial | None:
        trial = self._trial
        return trial if trial and trial.thread_id == threading.get_ident() else None

    def _end_trial(self) -> None:
        self._trial = None
        self._reading = None


def _end_of(result: object) -> End:
    """A refusal is an answer like any other; an error of our own says nothing about the provider."""
    if isinstance(result, Unavailable):
        return End.TURNED_AWAY
    answered = isinstance(result, WELL) or not isinstance(result, BaseException)
    return End.WELL if answered else End.TROUBLED


@cache
def gate(provider: str) -> Gate:
    """The gate of one provider in this process."""
    return Gate(provider)
