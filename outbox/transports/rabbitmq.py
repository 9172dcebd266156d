"""Sends events to RabbitMQ: a topic exchange, routing key = event type, persistent, mandatory, confirmed.

Guarantee: what `send` answers with None stands on the broker's disk (of a quorum queue: on most of its nodes), in the
order of the batch, in every queue that is bound for it. A batch is one write and one wait for all its confirms, and
ends within `send_seconds`, connecting included. Not guaranteed: that what raised was not taken: it goes out again.
"""

import re
import time
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import amqp

from outbox import rabbitmq
from outbox.envelope import Message
from outbox.exceptions import DestinationUnavailable, MessageRejected

from .rabbitmq_batch import Batch, Frames

BLOCKED = "connection blocked by the broker: memory or disk alarm"
_TOO_LARGE = re.compile(r"larger than configured max size (\d+)")


class RabbitMQTransport:
    """`url` is amqp:// or amqps://; `ca_file` names the authority of a certificate that the system does not trust."""

    def __init__(
        self, *, url: str, ca_file: str = "", exchange: str = rabbitmq.EXCHANGE, send_seconds: float = 10.0
    ) -> None:
        self._address = rabbitmq.Address(url=url, ca_file=ca_file)
        self._exchange = exchange
        self._send_seconds = send_seconds
        self._link: _Link | None = None
        # Of a message, as the broker said when it refused one: it tells nobody before.
        self._max_bytes: int | None = None

    def send(self, messages: Sequence[Message]) -> list[MessageRejected | None]:
        batch = Batch(messages)
        deadline = time.monotonic() + self._send_seconds
        while batch.waiting:
            try:
                self._publish(batch, deadline)
            except rabbitmq.TROUBLE as error:
                self.close()
                if not self._learn_limit(batch, error):
                    raise DestinationUnavailable(rabbitmq.describe(error), answers=batch.answers) from error
        return [batch.answers[message.key] for message in messages]

    def close(self) -> None:
        if self._link:
            rabbitmq.let_go(self._link.connection)
            self._link = None

    def _publish(self, batch: Batch, deadline: float) -> None:
        """Everything that waits in one write, then one wait; raises when the broker did not take all of it."""
        batch.reject_larger_than(self._max_bytes)
        link = self._linked(deadline)
        link.publish(batch, self._exchange)
        link.await_confirms(deadline)
        if batch.waiting:
            raise DestinationUnavailable(batch.why_it_waits(self._exchange), answers=batch.answers)

    def _linked(self, deadline: float) -> "_Link":
        """The open link; a new one when the old one has ended while nobody looked."""
        if self._link and not self._link.is_alive():
            self.close()
        if not self._link:
            self._link = _Link(self._address, within_seconds=min(rabbitmq.CONNECT_SECONDS, _left(deadline)))
        rabbitmq.bound_waits(self._link.connection, _left(deadline))
        return self._link

    def _learn_limit(self, batch: Batch, error: BaseException) -> bool:
        """A message above the broker's limit ended the channel: it is rejected, and the others go out anew."""
        found = _TOO_LARGE.search(rabbitmq.describe(error))
        if not found:
            return False
        self._max_bytes = int(found[1])
        return batch.reject_larger_than(self._max_bytes) > 0


class _Link:
    """One connection with one channel in confirm mode, and what is written there and not yet confirmed, by its tag."""

    def __init__(self, address: rabbitmq.Address, *, within_seconds: float) -> None:
        self._blocked = False
        self._last_tag = 0
        self._unconfirmed: dict[int, Message] = {}
        self._batch = Batch([])
        self.connection = rabbitmq.connect(
            address, within_seconds=within_seconds, on_blocked=self._on_blocked, on_unblocked=self._on_unblocked
        )
        self._channel = self._open_channel()

    def _open_channel(self) -> Any:
        try:
            channel: Any = self.connection.channel()
            channel.confirm_select()
        except rabbitmq.TROUBLE:
            rabbitmq.let_go(self.connection)
            raise
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        return channel

    def is_alive(self) -> bool:
        """Reads what the broker said meanwhile: that it closes, blocks or unblocks."""
        try:
            while True:
                self.connection.drain_events(timeout=0)
        except TimeoutError:
            return True
        except rabbitmq.TROUBLE:
            return False

    def publish(self, batch: Batch, exchange: str) -> None:
        if self._blocked:
            raise ConnectionError(BLOCKED)
        self._batch = batch
        # Framed before anything is written: what cannot be framed is rejected, and costs the others nothing.
        frames = Frames(self._channel)
        for message in batch.write(frames, exchange):
            self._last_tag += 1
            self._unconfirmed[self._last_tag] = message
        self.connection.transport.write(frames.buffer)

    def await_confirms(self, deadline: float) -> None:
        while self._unconfirmed:
            if self._blocked:
                raise ConnectionError(BLOCKED)
            try:
                self.connection.drain_events(timeout=_left(deadline))
            except TimeoutError:
                raise TimeoutError(f"no confirm in time for {len(self._unconfirmed)} messages") from None

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp calls it so
        for message in self._settle(tag, multiple=multiple):
            self._batch.confirm(message)

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp calls it so
        """What was refused waits on."""
        self._settle(tag, multiple=multiple)

    def _on_return(self, error: Exception, exchange: str, routing_key: str, returned: amqp.Message) -> None:
        """Comes before the message's confirm, which only says that the broker is done with it."""
        self._batch.give_back(str(returned.properties["message_id"]))

    def _settle(self, tag: int, *, multiple: bool) -> list[Message]:
        tags = list(takewhile(lambda one: one <= tag, self._unconfirmed)) if multiple else [tag]
        return [self._unconfirmed.pop(one) for one in tags if one in self._unconfirmed]

    def _on_blocked(self, reason: str) -> None:
        self._blocked = True

    def _on_unblocked(self) -> None:
        self._blocked = False


def _left(deadline: float) -> float:
    """Seconds; raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for this batch is over")
    return left
