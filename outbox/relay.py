"""The relay: rings destinations inside, and claims, sends and finishes for destinations outside.

Guarantee: whatever is due is rung or sent within a poll interval, by any number of relays and by beat's tick alike,
each row by one at a time (S6). What was sent and not finished is sent again with the same message id: at least once.
Not guaranteed: order between aggregates; the wake-up, which only makes it faster.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import psycopg
import structlog
from django.db import connection
from django.utils.module_loading import import_string

from . import backoff, bell, context, failure, heartbeat, pause, periodic, routing, telemetry, tracing
from .conf import conf
from .envelope import Message
from .exceptions import DestinationUnavailable, MessageRejected
from .models import OutboxMessage
from .querysets import PutBack
from .routing import Outside
from .transports.base import Transport
from .wakeup import CHANNEL

log = structlog.get_logger(__name__)

# A tick of beat ends in time even with a large backlog, and no loop spins: the next tick or turn goes on.
BATCHES_PER_TURN = 20
# Between two turns: what a loop that always finds something leaves to everybody else.
REST_SECONDS = 0.01
# After trouble with the database the loop breathes before it connects again.
RECONNECT_SECONDS = 0.5
# The tick that does for beat what this process does all the time.
OWN_TICK = "outbox.relay"


def run_once() -> int:
    """Rings and sends what is due: one tick. Returns how many messages went outside."""
    bell.ring_all()
    return sum(_drain(destination) for destination in routing.all_outside())


def _drain(destination: Outside) -> int:
    """Sends what is due for one destination outside, on a connection of its own; its trouble is not the others'."""
    transport = None
    try:
        transport = connect(destination)
        return send_batches(destination, transport) if transport else 0
    except Exception as error:
        log.warning("relay.trouble", destination=destination.name, error=failure.describe(error))
        connection.close_if_unusable_or_obsolete()
        return 0
    finally:
        if transport:
            transport.close()


def connect(destination: Outside) -> Transport | None:
    """The transport of a destination, by its dotted path and options; None while it is paused.

    One that cannot be made pauses its destination, as a broker does that takes nothing.
    """
    if pause.is_paused(destination.name):
        return None
    try:
        transport: Transport = import_string(destination.backend)(**destination.options)
    except Exception as error:
        _pause(destination, [], error)
        return None
    return transport


def send_batches(destination: Outside, transport: Transport) -> int:
    """Sends what is due, at most BATCHES_PER_TURN batches. Returns how many messages were claimed."""
    total = 0
    for _ in range(BATCHES_PER_TURN):
        sent = 0 if heartbeat.stopping() else send_due(destination, transport)
        total += sent
        if sent == 0:
            break
    return total


def send_due(destination: Outside, transport: Transport) -> int:
    """Claims due heads, sends them, finishes what was confirmed. Returns how many were claimed."""
    if pause.is_paused(destination.name):
        return 0
    messages = _claim(destination)
    if not messages:
        return 0
    if heartbeat.stopping():
        failure.put_back(messages, after=timedelta(0), error="", gives_attempt_back=True)
        return 0
    with (
        tracing.batch(tracing.SEND, destination.name, messages, system=destination.system) as spans,
        context.handling(messages, spans=spans),
    ):
        return _send(destination, transport, messages)


def _send(destination: Outside, transport: Transport, messages: Sequence[Message]) -> int:
    """Returns how many of them the destination has answered."""
    try:
        with telemetry.OUTBOX_SEND_SECONDS.labels(destination.name).time():
            answers = transport.send(messages)
    except DestinationUnavailable as error:
        answered = [message for message in messages if message.key in error.answers]
        if answered:
            _finish(destination, answered, [error.answers[message.key] for message in answered])
        _pause(destination, [message for message in messages if message.key not in error.answers], error)
        return 0
    except Exception as error:
        _retry(destination, messages, error)
        return 0
    _finish(destination, messages, answers)
    return len(messages)


def _claim(destination: Outside) -> list[Message]:
    settings = conf()
    return OutboxMessage.objects.all().claim(
        destination.name,
        types=None,
        limit=settings.relay_batch_size,
        claim_time=timedelta(seconds=settings.remote_claim_seconds),
        max_attempts=settings.max_attempts,
    )


def _finish(destination: Outside, messages: Sequence[Message], answers: Sequence[MessageRejected | None]) -> None:
    sent = [message for message, answer in zip(messages, answers, strict=True) if answer is None]
    OutboxMessage.objects.all().finish(sent)
    telemetry.OUTBOX_PUBLISHED.labels(destination.name).inc(len(sent))
    if sent:
        pause.resume(destination.name)
    for message, answer in zip(messages, answers, strict=True):
        if answer is not None:
            telemetry.OUTBOX_FAILED.labels(destination.name).inc()
            failure.bury(None, [message], error=failure.describe(answer))


def _pause(destination: Outside, messages: Sequence[Message], error: Exception) -> None:
    """The destination's trouble, no message's: its breaker opens and the attempts are given back (F4)."""
    reason = failure.describe(error)
    length = pause.pause_after_failure(destination.name, reason=reason)
    failure.put_back(messages, after=timedelta(0), error=reason, gives_attempt_back=True)
    tracing.failed(messages, type(error).__name__, reason)
    log.warning("outbox.destination_paused", destination=destination.name, seconds=length.seconds, error=reason)


def _retry(destination: Outside, messages: Sequence[Message], error: Exception) -> None:
    """An error that the transport did not explain counts against each message; the spent ones are buried."""
    reason = failure.describe(error)
    log.warning("outbox.send_failed", destination=destination.name, messages=len(messages), exc_info=error)
    telemetry.OUTBOX_FAILED.labels(destination.name).inc(len(messages))
    tracing.failed(messages, type(error).__name__, reason)
    last = conf().max_attempts
    alone = len(messages) == 1
    spent = [message for message in messages if alone and message.attempts >= last]
    OutboxMessage.objects.all().put_back(
        [
            PutBack(
                message,
                after=backoff.delay(message.attempts) if alone else timedelta(0),
                error=reason,
                gives_attempt_back=False,
            )
            for message in messages
            if message not in spent
        ]
    )
    if spent:
        failure.bury(None, spent, error=reason)


class Relay:
    """The relay process: one loop that rings, one for periodic work, one per destination outside, so that neither a
    long purge nor a slow broker holds up anything else."""

    def __init__(self) -> None:
        self._woken = {destination.name: threading.Event() for destination in routing.all_outside()}

    def run(self) -> None:
        """Runs until asked to stop; a batch in hand is finished first."""
        heartbeat.start("relay")
        threads = [
            threading.Thread(target=self._send_loop, args=[destination], name=f"relay-{destination.name}")
            for destination in routing.all_outside()
        ]
        threads.append(threading.Thread(target=self._tick_loop, name="relay-ticks"))
        for thread in threads:
            thread.start()
        self._ring_loop()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        heartbeat.stop()
        for event in self._woken.values():
            event.set()

    def _ring_loop(self) -> None:
        while not heartbeat.stopping():
            try:
                self._listen()
                while not heartbeat.stopping():
                    bell.ring_all()
                    # Wake-ups that come meanwhile are one: many processes send hundreds in a second.
                    heartbeat.wait(REST_SECONDS)
                    self._await_wakeup()
            except Exception as error:
                log.warning("relay.trouble", error=failure.describe(error))
                connection.close()
                time.sleep(RECONNECT_SECONDS)

    def _tick_loop(self) -> None:
        while not heartbeat.stopping():
            if not periodic.run_due(besides={OWN_TICK}):
                heartbeat.wait(conf().poll_interval_ms / 1000)
        connection.close()

    def _listen(self) -> None:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")

    def _await_wakeup(self) -> None:
        """Until a NOTIFY, one that came before included, or the end of the poll interval, whichever comes first."""
        raw: psycopg.Connection = connection.connection
        for _ in raw.notifies(timeout=conf().poll_interval_ms / 1000, stop_after=1):
            for event in self._woken.values():
                event.set()

    def _send_loop(self, destination: Outside) -> None:
        transport: Transport | None = None
        while not heartbeat.stopping():
            sent = 0
            try:
                transport = transport or connect(destination)
                sent = send_batches(destination, transport) if transport else 0
            except Exception as error:
                log.warning("relay.trouble", destination=destination.name, error=failure.describe(error))
                connection.close()
                time.sleep(RECONNECT_SECONDS)
            self._rest(destination, busy=sent > 0)
        if transport:
            transport.close()
        connection.close()

    def _rest(self, destination: Outside, *, busy: bool) -> None:
        """Until the next wake-up or the end of the poll interval; a moment while there is more to send."""
        woken = self._woken[destination.name]
        if busy:
            heartbeat.wait(REST_SECONDS)
        else:
            woken.wait(conf().poll_interval_ms / 1000)
            woken.clear()
