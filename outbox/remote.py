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
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.db import transaction

from . import bell, consumer, context, failure, heartbeat, inbox, pause, telemetry, wakeup
from .claim import claim
from .conf import conf
from .envelope import Message
from .exceptions import CallOverstayed
from .models import OutboxMessage
from .routing import Inside, Run

# How long answers gather before they are recorded together.
GATHER_SECONDS = 0.05
# With nothing answered and nothing due, how often a free slot looks for new work.
CLAIM_AGAIN_SECONDS = 0.25
# A run makes room for other destinations of its worker, and for a stop, at least this often.
RUN_MAX_SECONDS = 20.0
# Threads that never came back: the process is ill and ends itself; claims run out by the clock.
OVERSTAYED_MAX = 8
EX_SOFTWARE = 70

log = structlog.get_logger(__name__)


class Gate(Protocol):
    """What a provider allows (providers.gate): call slots, a bounded pool, a breaker."""

    @property
    def total_deadline(self) -> timedelta: ...
    def admit(self, wanted: int) -> int: ...
    def release(self, count: int) -> None: ...
    def submit(self, call: Callable[[], Any]) -> Future[Any]: ...
    def give_up(self, future: Future[Any]) -> None: ...
    def overstayed(self) -> int: ...
    def paused_until(self) -> datetime | None: ...
    def observe(self, results: Sequence[object]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Call:
    """What to call, without the database, for one message; `intent` travels to the recording."""

    intent: Any
    perform: Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one call: `result` is its return value, or the exception it raised.

    `mine` is False when the claim was taken over meanwhile: then only the fact may be recorded, nothing decided.
    `provider_down` is True while the provider as a whole is in trouble: no attempt is burnt.
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
    started: float


def remote(work: RemoteWork) -> Run:
    """The run of a destination that calls somebody else."""

    def run(destination: Inside) -> int:
        return _RemoteRun(destination, work).run()

    return run


class _RemoteRun:
    """One answer to a ring: claims as slots become free, until nothing is due and nothing is in flight."""

    def __init__(self, destination: Inside, work: RemoteWork) -> None:
        self.destination = destination
        self.work = work
        self.gate = work.gate()
        self.in_flight: dict[Future[Any], _InFlight] = {}
        self.claimed = 0
        self.ends_at = time.monotonic() + RUN_MAX_SECONDS

    def run(self) -> int:
        self._start_due()
        while self.in_flight:
            answered = self._await_answers()
            if answered:
                self.gate.observe([result for _, result in answered])
                self._record(answered)
                bell.ring(wakeup.take_collected())
            self._start_due()
        self._pause_while_provider_is_down()
        self._end_process_if_ill()
        return self.claimed

    def _start_due(self) -> None:
        """Claims at most as many as there are free slots: a message that waited for one would outlive its claim."""
        if heartbeat.stopping() or time.monotonic() > self.ends_at:
            return
        slots = self.gate.admit(conf().claim_batch_size)
        if slots == 0:
            return
        started = 0
        try:
            messages = claim(self.destination, slots)
            self.claimed += len(messages)
            for message, call in self._note(messages):
                future = self.gate.submit(call.perform)
                started += 1
                self.in_flight[future] = _InFlight(message=message, call=call, started=time.monotonic())
        finally:
            self.gate.release(slots - started)

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
            done, _ = wait(self.in_flight, timeout=GATHER_SECONDS)
        answered = [(self.in_flight.pop(future), _result(future)) for future in done]
        return answered + self._give_up_overdue()

    def _give_up_overdue(self) -> list[tuple[_InFlight, object]]:
        # The client keeps the deadline too and answers first; this is for a thread that hangs all the same.
        latest = time.monotonic() - self.gate.total_deadline.total_seconds() - 1.0
        overdue = [future for future, flight in self.in_flight.items() if flight.started < latest]
        for future in overdue:
            self.gate.give_up(future)
        return [(self.in_flight.pop(future), CallOverstayed()) for future in overdue]

    def _record(self, answered: Sequence[tuple[_InFlight, object]]) -> None:
        """Phase 3, for all answers at once; if that raises, for each alone, so that one costs only itself."""
        try:
            self._record_together(answered)
        except Exception as error:
            if len(answered) == 1:
                failure.record(self.destination, [answered[0][0].message], error)
                telemetry.INBOX_CONSUMED.labels(self.destination.name, "failed").inc()
                return
            for one in answered:
                self._record([one])

    def _record_together(self, answered: Sequence[tuple[_InFlight, object]]) -> None:
        messages = [flight.message for flight, _ in answered]
        down = self.gate.paused_until() is not None
        cause = messages[0].message_id if len(messages) == 1 else None
        with transaction.atomic(), context.caused_by(cause):
            mine = OutboxMessage.objects.all().finish(messages)
            fresh = inbox.record(self.destination.name, [message.message_id for message in mine])
            self.work.record(
                [
                    Answer(
                        message=flight.message,
                        intent=flight.call.intent,
                        result=result,
                        mine=flight.message in mine and flight.message.message_id in fresh,
                        provider_down=down,
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
