"""What every transport must do, run against each of them."""

import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from outbox.envelope import Message, to_wire
from outbox.exceptions import DestinationUnavailable, MessageRejected
from outbox.transports.console import ConsoleTransport
from outbox.transports.rabbitmq import RabbitMQTransport
from tests.support.rabbit import ON_ONE_NODE

pytestmark = ON_ONE_NODE
NOBODY_LISTENS = "amqp://guest:guest@127.0.0.1:1//"


class ClosedStream(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError("nobody reads")


class Console:
    """How the suite sees what arrived, and how it breaks the destination."""

    def __init__(self, request) -> None:
        self.stream = io.StringIO()

    def transport(self, *, down: bool = False) -> ConsoleTransport:
        return ConsoleTransport(stream=ClosedStream() if down else self.stream)

    def arrived(self) -> list[dict]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def unsendable(self) -> Message:
        return message(payload={"text": object()})


class RabbitMQ:
    """A real node, read by an independent client."""

    def __init__(self, request) -> None:
        self.subscriber = request.getfixturevalue("subscriber")

    def transport(self, *, down: bool = False) -> RabbitMQTransport:
        return RabbitMQTransport(url=NOBODY_LISTENS if down else self.subscriber.url, exchange=self.subscriber.exchange)

    def arrived(self) -> list[dict]:
        return self.subscriber.events()

    def unsendable(self) -> Message:
        return message(payload={"text": object()})


def message(**changes: Any) -> Message:
    values: dict[str, Any] = {
        "key": uuid4(),
        "message_id": uuid4(),
        "destination": "outside",
        "type": "test.told.v1",
        "payload": {"text": "hello\nworld"},
        "headers": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        "aggregate_type": "test",
        "aggregate_id": uuid4(),
        "sequence": 1,
        "correlation_id": uuid4(),
        "attempts": 1,
        "epoch": 1,
        "created_at": datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    return Message(**values | changes)


@pytest.fixture(params=[Console, RabbitMQ])
def harness(request):
    return request.param(request)


def test_a_batch_arrives_whole_and_in_order(harness):
    batch = [message(payload={"text": str(number)}) for number in range(5)]

    assert harness.transport().send(batch) == [None] * 5

    assert [event["payload"]["text"] for event in harness.arrived()] == ["0", "1", "2", "3", "4"]


def test_an_event_arrives_in_its_envelope(harness):
    sent = message()
    harness.transport().send([sent])

    [event] = harness.arrived()
    assert event == to_wire(sent)
    assert event["eventId"] == str(sent.message_id)
    assert event["occurredAtUtc"] == "2025-01-02T03:04:05Z"
    assert event["metadata"]["traceId"] == "0af7651916cd43dd8448eb211c80319c"
    assert event["metadata"]["sequence"] == 1
    assert event["metadata"]["schemaVersion"] == 1


def test_a_message_that_can_never_be_sent_is_answered_for_itself(harness):
    answers = harness.transport().send([message(), harness.unsendable(), message()])

    assert [type(answer) for answer in answers] == [type(None), MessageRejected, type(None)]
    assert len(harness.arrived()) == 2


def test_a_destination_that_takes_nothing_says_so(harness):
    with pytest.raises(DestinationUnavailable):
        harness.transport(down=True).send([message()])

    assert harness.arrived() == []


def test_an_empty_batch_is_no_trouble(harness):
    assert harness.transport().send([]) == []


def test_a_closed_transport_connects_again(harness):
    transport = harness.transport()
    transport.close()

    assert transport.send([message()]) == [None]
