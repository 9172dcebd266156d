"""Remote work: consumers and saga steps that call somebody else, in three phases over one claim.

(1) One short transaction notes each intent: a row says what will be asked for *before* the call. (2) The calls, in
their provider's bounded pool, no transaction open, no database in a call's thread. (3) As answers come, one short
transaction records those that are ready.

Guarantee: a crash anywhere leaves an intent on record, and the next attempt knows that it is not the first. One slow
call holds one slot, never its batch. Not guaranteed: that a call is made once; the receiver's idempotency key and the
probe are for that. A call that outlives its total deadline is given up, its outcome unknown.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.db import connection, transaction

from . import bell, consumer, context, failure, heartbeat, inbox, pause, telemetry, tracing, wakeup
from .claim import claim
from .conf import conf
from .envelope import Message
from .exceptions import CallOverstayed
from .gate import Gate
from .models import OutboxMessage
from .routing import Inside, Run

# How long answers gather before they are recorded together: as long as claiming and recording took the last time,
# within these bounds. Where that is slow, a free slot's moment costs less than a transaction for each answer.
GATHER_MIN_SECONDS = 0.01
GATHER_MAX_SECONDS = 0.05
# With nothing answered and nothing due, how often a free slot looks for new work.
CLAIM_AGAIN_SECONDS = 0.25
# A run makes room for other destinations of its worker, and for a stop, at least this often.
RUN_MAX_SECONDS = 20.0
# Threads that stay away long after their deadline: the process is ill and ends itself; claims run out by the clock.
OVERSTAYED_MAX = 8
EX_SOFTWARE = 70

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Call:
    """What to call, without the database, for one message; `intent` travels to the recording."""

    intent: Any
    perform: Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one call: `result` is its return value, or the exception it raised.

    `mine` is False when the claim was taken over meanwhile: then only the fact may be recorded, nothing decided.
    `provider_down` is True while the provider as a whole is in trouble, or when the call was never made: no attempt is
    burnt.
    """

    message: Message
    intent: Any
    result: object
    mine: bool
    provider_down: bool


class RemoteWork(Protocol):
    """What a remote destination does; both functions run inside a transaction and are set-based."""

    def gate(self) -> Gate: ...

    def note(self, messages: Sequence[Message]) -> Mapping[UUID, Call]:
        """Notes intents; returns calls by message key. A message without a call needs nothing more and is done."""
        ...

    def record(self, answers: Sequence[Answer]) -> None:
        """Records facts of all answers, and decides for those that are `mine`."""
        ...


@dataclass(kw_only=True)
class _InFlight:
    message: Message
    call: Call
    ends_at: float


def remote(work: RemoteWork) -> Run:
    """The run of a destination that calls somebody else.

    One run of a process claims at a time; a second ring is answered at once, for the first claims every 250 ms anyway.
    Otherwise each ring beside a slow call would take one more of the worker's threads, until none is left for others.
    """
    turn = threading.Lock()

    def run(destination: Inside) -> int:
        return _RemoteRun(destination, work, turn).run() if turn.acquire(blocking=False) else 0

    return run


class _RemoteRun:
    """One answer to a ring: claims as slots become free, until nothing is due and nothing is in flight.

    Whatever the database does meanwhile, each call in flight is recorded or given up before the run ends.
    """

    def __init__(self, destination: Inside, work: RemoteWork, turn: threading.Lock) -> None:
        self.destination = destination
        self.work = work
        self.turn = turn
        self.gate = work.gate()
        self.spans = tracing.spans(tracing.PROCESS, destination.name)
        self.in_flight: dict[Future[Any], _InFlight] = {}
        self.claimed = 0
        self.gather_seconds = GATHER_MIN_SECONDS
        self.claims_until = time.monotonic() + RUN_MAX_SECONDS

    def run(self) -> int:
        try:
            self._claim_and_call()
            while self.in_flight:
                self._take_answers()
        finally:
            self._give_up(list(self.in_flight))
            self.spans.end_all()
        self._guarded(self._pause_while_provider_is_down)
        self._end_process_if_ill()
        return self.claimed

    def _claim_and_call(self) -> None:
        """Until nothing is left, or this run may claim no more: the next one may, while this one awaits its answers."""
        try:
            self._guarded(self._start_due)
            while self.in_flight and self._may_claim():
                self._take_answers()
        finally:
            self.turn.release()

    def _may_claim(self) -> bool:
        return not heartbeat.stopping() and time.monotonic() < self.claims_until

    def _take_answers(self) -> None:
        """Freed slots call again before what was answered is recorded: the provider works while we write."""
        answered = self._await_answers()
        began = time.monotonic()
        if answered:
            self._guarded(lambda: self.gate.observe([result for _, result in answered]))
        self._guarded(self._start_due)
        if answered:
            self._record(answered)
        if self.in_flight:
            # With nothing left in flight the run ends, and whoever called it rings.
            self._guarded(lambda: bell.ring(wakeup.take_collected()))
        if answered:
            self.gather_seconds = min(max(GATHER_MIN_SECONDS, time.monotonic() - began), GATHER_MAX_SECONDS)

    def _guarded(self, act: Callable[[], object]) -> None:
        """A lost connection must not cost what is in flight its recording: the next statement connects anew."""
        try:
            act()
        except Exception as error:
            log.warning("outbox.run_troubled", destination=self.destination.name, error=failure.describe(error))
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()

    def _start_due(self) -> None:
        """Claims at most as many as the gate has places for: a message that waited for long would outlive its claim.

        What was tried before is claimed alone, so it takes several claims to fill them.
        """
        if not self._may_claim():
            return
        # What did not become a call in flight, whatever came between, is released.
        all_slots = len(self.in_flight) + self.gate.admit(conf().claim_batch_size)
        try:
            while (free := all_slots - len(self.in_flight)) and self._start_some(free):
                pass
        finally:
            self.gate.release(all_slots - len(self.in_flight))

    def _start_some(self, slots: int) -> bool:
        """One claim; tells whether there may be more: it led to calls, and took all it asked for or one alone."""
        messages = claim(self.destination, slots)
        self.claimed += len(messages)
        # From before the intent is on record: no call begins later than its deadline after that (I13).
        ends_at = time.monotonic() + self.gate.total_deadline.total_seconds()
        self.spans.begin(messages)
        with context.handling(messages, spans=self.spans):
            calls = self._note(messages)
        for message, call in calls:
            # The call's thread gets a copy of this context: its lines and spans are of this message.
            with context.handling([message], spans=self.spans):
                future = self.gate.submit(call.perform, ends_at=ends_at)
            self.in_flight[future] = _InFlight(message=message, call=call, ends_at=ends_at)
        called = {message.key for message, _ in calls}
        self.spans.end([message for message in messages if message.key not in called])
        return bool(calls) and (len(messages) == slots or messages[0].attempts > 1)

    def _note(self, messages: Sequence[Message]) -> list[tuple[Message, Call]]:
        """Phase 1. A message that needs no call (its saga has turned, or waits for another) is done right here."""
        if not messages:
            return []
        try:
            with transaction.atomic():
                held = OutboxMessage.objects.all().hold(messages)
                calls = self.work.note(held)
                consumer.settle(self.destination.name, [m for m in held if m.key not in calls])
        except Exception as error:
            failure.record(self.destination, messages, error)
            return []
        return [(message, calls[message.key]) for message in held if message.key in calls]

    def _await_answers(self) -> list[tuple[_InFlight, object]]:
        """Phase 2: waits for the next answers, gathers a moment, gives up what outlived its deadline."""
        done, _ = wait(self.in_flight, timeout=CLAIM_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
        if done and len(done) < len(self.in_flight):
            done, _ = wait(self.in_flight, timeout=self.gather_seconds)
        answered = [(self.in_flight.pop(future), _result(future)) for future in done]
        return answered + self._give_up_overdue()

    def _give_up_overdue(self) -> list[tuple[_InFlight, object]]:
        # The client keeps the deadline too and answers first; this is for a thread that hangs all the same.
        latest = time.monotonic() - 1.0
        overdue = [future for future, flight in self.in_flight.items() if flight.ends_at < latest]
        given_up = zip(overdue, self._give_up(overdue), strict=True)
        return [(flight, _result(future) if future.done() else CallOverstayed()) for future, flight in given_up]

    def _give_up(self, futures: Sequence[Future[Any]]) -> list[_InFlight]:
        for future in futures:
            self.gate.give_up(future)
        return [self.in_flight.pop(future) for future in futures]

    def _record(self, answered: Sequence[tuple[_InFlight, object]]) -> None:
        """Phase 3, for all answers at once; if that raises, for each alone, so that one costs only itself."""
        messages = [flight.message for flight, _ in answered]
        with context.handling(messages, spans=self.spans):
            try:
                self._record_together(answered, messages)
            except Exception as error:
                self._guarded(partial(self._record_failed, answered, error))
        self.spans.end(messages)

    def _record_failed(self, answered: Sequence[tuple[_InFlight, object]], error: Exception) -> None:
        if len(answered) == 1:
            telemetry.INBOX_CONSUMED.labels(self.destination.name, "failed").inc()
            failure.record(self.destination, [answered[0][0].message], error)
        else:
            for one in answered:
                self._record([one])

    def _record_together(self, answered: Sequence[tuple[_InFlight, object]], messages: Sequence[Message]) -> None:
        down = self.gate.paused_until() is not None
        tracing.answered((flight.message, result) for flight, result in answered)
        with transaction.atomic():
            mine = OutboxMessage.objects.all().finish(messages)
            fresh = inbox.record(self.destination.name, [message.message_id for message in mine])
            self.work.record(
                [
                    Answer(
                        message=flight.message,
                        intent=flight.call.intent,
                        result=result,
                        mine=flight.message in mine and flight.message.message_id in fresh,
                        provider_down=down or not self.gate.was_made(result),
                    )
                    for flight, result in answered
                ]
            )
        telemetry.STALE_CLAIMS.labels(self.destination.name).inc(len(messages) - len(mine))
        telemetry.INBOX_CONSUMED.labels(self.destination.name, "done").inc(len(mine))

    def _pause_while_provider_is_down(self) -> None:
        """An open breaker: nothing of this destination is rung or claimed until its next trial."""
        if until := self.gate.paused_until():
            pause.pause(self.destination.name, until=until, reason="breaker open")

    def _end_process_if_ill(self) -> None:
        if self.gate.overstayed() >= OVERSTAYED_MAX:
            log.critical("outbox.process_ends_itself", overstayed=self.gate.overstayed())
            os._exit(EX_SOFTWARE)


def _result(future: Future[Any]) -> object:
    error = future.exception()
    return error if error is not None else future.result()
