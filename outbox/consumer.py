"""Consumers: a ring is answered by claiming what is due and handling it as one batch in one transaction.

Guarantee: per message the effect, the inbox row and "done" commit together or not at all (I5). Not guaranteed: order
between aggregates; one call per message (a batch is one call, a failed batch is repeated one by one).

    @consumer("orders.start_fulfilment", event=OrderCreated)
    def start_fulfilment(messages: Sequence[Message]) -> None: ...
"""

from collections.abc import Callable, Sequence

import structlog
from django.db import transaction

from . import batch_size, bell, context, failure, inbox, routing, telemetry, tracing, wakeup
from .claim import claim
from .envelope import Message
from .models import OutboxMessage
from .querysets import PutBack
from .registry import Event
from .routing import Inside

Effect = Callable[[Sequence[Message]], None]
log = structlog.get_logger(__name__)


def consumer(name: str, *, event: type[Event], queue: str = "default") -> Callable[[Effect], Effect]:
    """Registers a set-based effect as the consumer `name` of one event type.

    The effect gets the messages it has not handled before, inside the transaction that also records them. It may raise
    RetryLater (the attempt is given back) or Hopeless (dead at once); anything else is retried with backoff.
    """

    def register(effect: Effect) -> Effect:
        routing.register(
            Inside(
                name=name,
                queue=queue,
                types=frozenset({event.type}),
                subscribes=frozenset({event.type}),
                run=local(effect),
            )
        )
        return effect

    return register


def deliver(name: str) -> int:
    """Answers a ring: claims a batch, works on it, rings what it made due. Returns how many messages it claimed."""
    destination = routing.inside(name)
    if not bell.answered(name):
        return 0
    with wakeup.collecting() as published:
        count = destination.run(destination)
    if count:
        bell.ring({name, *published})
    return count


def local(effect: Effect) -> routing.Run:
    """The run of a destination whose effect only touches Postgres: one claim, one transaction."""

    def run(destination: Inside) -> int:
        size = batch_size.next_for(destination.name)
        messages = claim(destination, size)
        batch_size.learn(destination.name, asked=size, claimed=len(messages))
        if messages:
            handle(destination, messages, effect)
        return len(messages)

    return run


def handle(destination: Inside, messages: Sequence[Message], effect: Effect) -> None:
    """Finish, inbox and effect of a batch in one transaction; what raised is put back or buried."""
    with tracing.batch(tracing.PROCESS, destination.name, messages) as spans, context.handling(messages, spans=spans):
        _handle(destination, messages, effect)


def _handle(destination: Inside, messages: Sequence[Message], effect: Effect) -> None:
    try:
        with transaction.atomic():
            fresh = begin(destination, messages)
            if fresh:
                effect(fresh)
    except Exception as error:
        failure.record(destination, messages, error)
        telemetry.INBOX_CONSUMED.labels(destination.name, "failed").inc(len(messages))
    else:
        telemetry.INBOX_CONSUMED.labels(destination.name, "done").inc(len(messages))
        telemetry.OUTBOX_PUBLISHED.labels(destination.name).inc(len(messages))


def begin(destination: Inside, messages: Sequence[Message]) -> list[Message]:
    """The opening of every effect's transaction: finish what is still ours, keep what was not handled before."""
    mine = OutboxMessage.objects.all().finish(messages)
    if stale := len(messages) - len(mine):
        telemetry.STALE_CLAIMS.labels(destination.name).inc(stale)
    fresh = inbox.record(destination.name, [message.message_id for message in mine])
    tracing.mark_duplicates([message for message in mine if message.message_id not in fresh])
    return [message for message in mine if message.message_id in fresh]


def settle(destination: str, messages: Sequence[Message]) -> None:
    """Inside a transaction: these messages need nothing more and are done."""
    if messages:
        mine = OutboxMessage.objects.all().finish(messages)
        inbox.record(destination, [message.message_id for message in mine])


def later(destination: str, returns: Sequence[PutBack]) -> None:
    """Inside an effect: these messages come again, as if this transaction had not handled them."""
    if returns:
        OutboxMessage.objects.all().take_back(returns)
        inbox.forget(destination, [item.message.message_id for item in returns])
