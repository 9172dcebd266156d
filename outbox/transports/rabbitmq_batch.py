"""A batch on its way to RabbitMQ: each message's body and frames, and what became of it.

Guarantee: a message is answered once: confirmed, or rejected for good; else it waits. Not guaranteed: that one which
waits was not taken.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import amqp
from amqp import spec
from amqp.exceptions import AMQPError
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

from outbox.envelope import PRODUCER, Message, to_wire
from outbox.exceptions import MessageRejected

PERSISTENT = 2
_as_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Frames:
    """Frames of many messages in one buffer, so that a batch is one write and not hundreds."""

    def __init__(self, channel: amqp.Channel) -> None:
        self.buffer = bytearray()
        self._channel_id = channel.channel_id
        self._write_frames = frame_writer(channel.connection, self)

    def write(self, frame: bytes) -> None:
        """What the writer takes for its socket."""
        self.buffer += frame

    def add(self, arguments: bytes, content: amqp.Message) -> None:
        """One basic.publish. Raises before it adds anything when the content fits no frame."""
        self._write_frames(1, self._channel_id, spec.Basic.Publish, arguments, content)


class Batch:
    """Messages by their row's key: `waiting` until `answers` has one."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.answers: dict[UUID, MessageRejected | None] = {}
        self.waiting: dict[UUID, Message] = {message.key: message for message in messages}
        self._bodies: dict[UUID, bytes] = {}
        self._given_back: set[str] = set()
        for message in messages:
            try:
                self._bodies[message.key] = _as_json(to_wire(message)).encode()
            except (TypeError, ValueError) as error:
                self._reject(message, str(error))

    def write(self, frames: Frames, exchange: str) -> Iterator[Message]:
        """Adds what waits to the frames, in order; yields what was added."""
        self._given_back.clear()
        arguments: dict[str, bytes] = {}
        for message in list(self.waiting.values()):
            try:
                if message.type not in arguments:
                    arguments[message.type] = dumps("Bssbb", (0, exchange, message.type, True, False))
                frames.add(arguments[message.type], _content(message, self._bodies[message.key]))
            except (AMQPError, struct.error, TypeError, ValueError) as error:
                self._reject(message, str(error))
            else:
                yield message

    def reject_larger_than(self, max_bytes: int | None) -> int:
        """Rejects what this broker never takes; returns how many."""
        too_large = [m for m in self.waiting.values() if max_bytes is not None and len(self._bodies[m.key]) > max_bytes]
        for message in too_large:
            size = len(self._bodies[message.key])
            self._reject(message, f"{size:,} bytes: this broker takes at most {max_bytes:,}")
        return len(too_large)

    def confirm(self, message: Message) -> None:
        if str(message.message_id) not in self._given_back and message.key in self.waiting:
            del self.waiting[message.key]
            self.answers[message.key] = None

    def give_back(self, message_id: str) -> None:
        """The broker has no queue for it."""
        self._given_back.add(message_id)

    def why_it_waits(self, exchange: str) -> str:
        """Why the broker did not take what still waits."""
        unroutable = sorted({m.type for m in self.waiting.values() if str(m.message_id) in self._given_back})
        if unroutable:
            return f"unroutable: exchange {exchange} has no queue bound for {', '.join(unroutable)} (NO_ROUTE)"
        return f"nack: a queue behind {exchange} is full or has lost its majority"

    def _reject(self, message: Message, reason: str) -> None:
        del self.waiting[message.key]
        self.answers[message.key] = MessageRejected(reason)


def _content(message: Message, body: bytes) -> amqp.Message:
    return amqp.Message(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        application_headers=_headers(message),
        delivery_mode=PERSISTENT,
        correlation_id=str(message.correlation_id),
        message_id=str(message.message_id),
        timestamp=int(message.created_at.timestamp()),
        type=message.type,
        app_id=PRODUCER,
    )


def _headers(message: Message) -> Mapping[str, Any]:
    """The message's own (traceparent among them), and what a consumer orders by without reading the body."""
    headers: dict[str, Any] = {
        **message.headers,
        "aggregateType": message.aggregate_type,
        "aggregateId": str(message.aggregate_id),
    }
    return headers if message.sequence is None else {**headers, "sequence": message.sequence}
