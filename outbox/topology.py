"""What stands at RabbitMQ for our consumers: the exchange, work queues, and where each one's dead letters go.

Guarantee: applying twice changes nothing, and what already stands is never changed: a difference is named and refused.
Not guaranteed: bindings beside ours, and limits, which come by policy: AMQP cannot read either. Between looking at a
part and declaring it somebody may delete it; then looking makes it anew.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import amqp
from amqp.exceptions import NotFound, PreconditionFailed

from .rabbitmq import EXCHANGE, describe

# Hands one message to consumers that die of it so often, then to its dead letters.
DELIVERY_LIMIT = 10
# RabbitMQ 4 drops, from a queue without dead letters of its own, what was given back 20 times; dead letters stay.
NO_DELIVERY_LIMIT = 1_000_000


class State(Enum):
    MISSING = "missing"
    AS_DECLARED = "as declared"
    DIFFERENT = "different"


@dataclass(frozen=True, kw_only=True)
class Part:
    """An exchange (with its kind) or a quorum queue; `bindings` are (exchange, pattern)."""

    name: str
    exchange_kind: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bindings: Sequence[tuple[str, str]] = ()

    @property
    def title(self) -> str:
        return f"{self.exchange_kind} exchange {self.name}" if self.exchange_kind else f"quorum queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A part as the broker has it; `text` says what differs, or how many messages wait."""

    part: Part
    state: State
    text: str = ""


def parts(work_queues: Mapping[str, Sequence[str]]) -> list[Part]:
    """Everything there is to declare, in the order in which it can be: {queue: patterns of event types}."""
    return [
        Part(name=EXCHANGE, exchange_kind="topic"),
        *(part for name, patterns in work_queues.items() for part in _work_queue(name, patterns)),
    ]


def _work_queue(name: str, patterns: Sequence[str]) -> Iterator[Part]:
    """No time to live: it would take a healthy backlog for dead when its consumer is down for a minute."""
    stem = name.removesuffix(".q")
    yield Part(name=f"{stem}.dlx", exchange_kind="fanout")
    yield Part(
        name=f"{stem}.dlq",
        arguments={"x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT},
        bindings=[(f"{stem}.dlx", "")],
    )
    yield Part(
        name=name,
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": f"{stem}.dlx",
            # A dead letter leaves its queue only once the other has it; that needs a full queue to refuse, not to drop.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
        bindings=[(EXCHANGE, pattern) for pattern in patterns],
    )


def look(connection: amqp.Connection, wanted: Iterable[Part]) -> list[Found]:
    """Compares; makes nothing. Raises what rabbitmq.TROUBLE names."""
    return [_found(connection, part) for part in wanted]


def declare(connection: amqp.Connection, wanted: Iterable[Part]) -> None:
    """Makes what is missing, and every binding, which costs nothing where it stands. Raises PreconditionFailed."""
    channel = connection.channel()
    for part in wanted:
        _declare(channel, part)
        for exchange, pattern in part.bindings:
            channel.queue_bind(part.name, exchange, pattern)
    channel.close()


def _found(connection: amqp.Connection, part: Part) -> Found:
    # A question that is answered with no ends its channel.
    channel = connection.channel()
    try:
        told = _ask(channel, part)
        _declare(channel, part)
    except NotFound:
        return Found(part=part, state=State.MISSING)
    except PreconditionFailed as error:
        return Found(part=part, state=State.DIFFERENT, text=describe(error).partition(" - ")[2])
    finally:
        channel.close()
    return Found(part=part, state=State.AS_DECLARED, text=told)


def _ask(channel: amqp.Channel, part: Part) -> str:
    if part.exchange_kind:
        channel.exchange_declare(part.name, part.exchange_kind, passive=True)
        return ""
    answer: Any = channel.queue_declare(part.name, passive=True)
    return f"{answer.message_count:,} messages, {answer.consumer_count} consumers"


def _declare(channel: amqp.Channel, part: Part) -> None:
    if part.exchange_kind:
        channel.exchange_declare(part.name, part.exchange_kind, durable=True, auto_delete=False)
    else:
        channel.queue_declare(part.name, durable=True, auto_delete=False, arguments=dict(part.arguments))
