"""F4: RabbitMQ memory alarm, oversize message, closed channel, unroutable: the row stays unpublished and says why;
other rows flow.

On a real node, through the transport that is deployed, and under Celery's rings. Where RabbitMQ is not installed, a
transport of the tests' own answers as `outbox.transports.base` lets one answer.
"""

from datetime import timedelta
from typing import cast

import pytest
from django.db import connection

from local.folder import Folder
from outbox import pause, relay
from outbox.exceptions import DestinationUnavailable
from outbox.models import Destination, OutboxMessage
from tests.outbox.test_relay import OUTSIDE, Outside
from tests.support.rabbit import MAX_MESSAGE_BYTES, ON_ONE_NODE, node_or_skip
from tests.support.threads import in_thread
from tests.support.told import isolate, make_due, row, states, tell

from .plain_orders import attempts, attempts_of_the_unfinished, confirmed, not_running, place, statuses
from .rest import assert_all_is_well

CONSOLE = {"BACKEND": "outbox.transports.console.ConsoleTransport", "TYPES": ["test.*"]}


@pytest.fixture
def broker(settings, monkeypatch):
    """One destination outside, as bad as a test wants it, and the console beside it."""
    isolate(monkeypatch)
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"broker": OUTSIDE, "console": CONSOLE}}
    Outside.sent, Outside.batches, Outside.trouble, Outside.closed = [], [], {}, 0
    return Outside


def to(destination):
    return {
        text: (state, tried, error)
        for text, state, tried, error in OutboxMessage.objects.filter(destination=destination).values_list(
            "payload__text", "state", "attempts", "last_error"
        )
    }


def pause_ends():
    Destination.objects.update(paused_until=None)


class Unroutable:
    """No queue is bound for the type."""

    says = "unroutable: exchange {exchange} has no queue bound for test.told.v1 (NO_ROUTE)"

    def __init__(self, subscriber, node):
        self.subscriber = subscriber
        subscriber.channel.queue_unbind(subscriber.queue, subscriber.exchange, "test.#")

    def ends(self):
        self.subscriber.channel.queue_bind(self.subscriber.queue, self.subscriber.exchange, "test.#")


class ClosedChannel:
    """The exchange is gone: the server closes the channel over it."""

    says = "NOT_FOUND - no exchange '{exchange}' in vhost '/'"

    def __init__(self, subscriber, node):
        self.subscriber = subscriber
        subscriber.channel.exchange_delete(subscriber.exchange)

    def ends(self):
        self.subscriber.channel.exchange_declare(self.subscriber.exchange, "topic", durable=True, auto_delete=False)
        self.subscriber.channel.queue_bind(self.subscriber.queue, self.subscriber.exchange, "test.#")


class Alarm:
    """The node is short of memory, and reads no further from who publishes."""

    says = "connection blocked by the broker: memory or disk alarm"

    def __init__(self, subscriber, node):
        self.node = node
        node.control("set_vm_memory_high_watermark", "absolute", "1")

    def ends(self):
        self.node.control("set_vm_memory_high_watermark", "0.6")


@pytest.fixture
def to_rabbitmq(settings, monkeypatch, subscriber):
    """RabbitMQ outside, through the transport that is deployed, and the console beside it."""
    isolate(monkeypatch)
    broker = {
        "BACKEND": "outbox.transports.rabbitmq.RabbitMQTransport",
        "TYPES": ["test.*"],
        "OPTIONS": {"url": subscriber.url, "exchange": subscriber.exchange},
    }
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"broker": broker, "console": CONSOLE}}
    return subscriber


@pytest.mark.django_db
@ON_ONE_NODE
class TestOutsideOnRabbitMQ:
    @pytest.mark.parametrize("kind", [Unroutable, ClosedChannel, Alarm])
    def test_f4_a_rabbitmq_that_takes_nothing_is_paused_and_the_row_says_why(self, to_rabbitmq, rabbit_node, kind):
        """F4: unroutable, closed channel, memory alarm: unpublished, no attempt burnt; the console's rows flow."""
        trouble = kind(to_rabbitmq, rabbit_node)
        try:
            tell("a")
            for _ in range(5):
                relay.run_once()
            why = "DestinationUnavailable: " + kind.says.format(exchange=to_rabbitmq.exchange)
            assert (to("broker"), to("console")) == ({"a": ("open", 0, why)}, {"a": ("done", 1, "")})
            assert pause.is_paused("broker")
            assert Destination.objects.get(name="broker").pause_reason == why
        finally:
            trouble.ends()

        to_rabbitmq.messages()
        pause_ends()
        relay.run_once()

        assert to("broker") == {"a": ("done", 1, "")}
        assert [event["payload"]["text"] for event in to_rabbitmq.events()] == ["a"]

    def test_f4_beside_an_unroutable_row_the_others_are_sent_once(self, to_rabbitmq, settings):
        """F4: what the broker confirmed before the trouble is finished; only the row that has no queue waits."""
        to_rabbitmq.channel.queue_unbind(to_rabbitmq.queue, to_rabbitmq.exchange, "test.#")
        to_rabbitmq.channel.queue_bind(to_rabbitmq.queue, to_rabbitmq.exchange, "test.told.v1")
        for text in ("a", "b", "c"):
            tell(text)
        OutboxMessage.objects.filter(payload__text="b").update(type="test.forgotten.v1")

        for _ in range(3):
            relay.run_once()
            pause_ends()

        rows = to("broker")
        assert (rows["a"], rows["c"]) == (("done", 1, ""), ("done", 1, ""))
        assert rows["b"][:2] == ("open", 0)
        assert rows["b"][2].endswith("has no queue bound for test.forgotten.v1 (NO_ROUTE)")
        assert [event["payload"]["text"] for event in to_rabbitmq.events()] == ["a", "c"]

    def test_f4_an_oversize_message_is_dead_with_its_reason_and_its_batch_flows(self, to_rabbitmq):
        """F4: what the broker will never take holds up nothing."""
        big = "x" * (MAX_MESSAGE_BYTES + 1)
        for text in ("a", big, "b"):
            tell(text)

        relay.run_once()

        state, tried, error = to("broker")[big]
        assert (state, tried) == ("dead", 1)
        assert error.startswith("MessageRejected: ")
        assert error.endswith(f"this broker takes at most {MAX_MESSAGE_BYTES:,}")
        assert (to("broker")["a"], to("broker")["b"]) == (("done", 1, ""), ("done", 1, ""))
        assert {event["payload"]["text"] for event in to_rabbitmq.events()} == {"a", "b"}
        assert set(to("console").values()) == {("done", 1, "")}


@pytest.mark.django_db
class TestOutside:
    """The same rules on any transport, as bad as a test wants it."""

    @pytest.mark.parametrize("why", ["NO_ROUTE", "connection blocked: memory alarm", "channel closed by the server"])
    def test_f4_a_broker_that_takes_nothing_is_paused_and_no_attempt_is_burnt(self, broker, why):
        """F4: unroutable, blocked, closed: the row stays unpublished and says why; the console's rows flow."""
        broker.trouble["*"] = DestinationUnavailable(why)
        tell("a")

        for _ in range(5):
            relay.run_once()

        assert len(broker.batches) == 1
        assert to("broker") == {"a": ("open", 0, f"DestinationUnavailable: {why}")}
        assert to("console") == {"a": ("done", 1, "")}

        broker.trouble.clear()
        pause_ends()
        relay.run_once()
        assert (broker.sent, to("broker")) == (["a"], {"a": ("done", 1, "")})

    def test_f4_an_error_that_the_transport_did_not_explain_is_tried_again_and_says_why(self, broker):
        """F4: a channel that closes under the batch: nothing is taken for sent, each row goes out alone afterwards."""
        broker.trouble["*"] = ConnectionResetError("channel closed")
        tell("a")
        tell("b")

        relay.run_once()

        assert set(to("broker").values()) == {("open", 1, "ConnectionResetError: channel closed")}
        broker.trouble.clear()
        make_due()
        relay.run_once()
        assert sorted(broker.sent) == ["a", "b"]
        assert {state for state, *_ in to("broker").values()} == {"done"}


@pytest.mark.django_db(transaction=True)
def test_f4_a_transport_that_cannot_be_made_at_first_is_made_later(broker, settings, monkeypatch):
    """F4: no thread of the relay ends with its destination's trouble."""

    class Late(Outside):
        made = 0

        def __init__(self):
            type(self).made += 1
            if self.made == 1:
                raise OSError("connection refused")

    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"broker": OUTSIDE}}
    monkeypatch.setattr("outbox.periodic._registered", {})
    monkeypatch.setattr("outbox.relay.import_string", lambda path: Late)
    monkeypatch.setattr(pause, "FIRST_PAUSE", timedelta(milliseconds=1))
    tell("a")
    process = relay.Relay()
    running = in_thread(process.run)
    waited = connection.cursor()
    for _ in range(1_000):
        if states() == {"a": "done"}:
            break
        waited.execute("SELECT pg_sleep(0.01)")
    process.stop()
    running.result(10)

    assert (Late.made, broker.sent, row("a").attempts) == (2, ["a"], 1)


@pytest.fixture
def node(service):
    node = node_or_skip(Folder(service.stack.folder.path / "rabbitmq"))
    try:
        node.start()
        yield node
    finally:
        service.stack.kill()
        node.end()


@pytest.mark.proof
def test_f4_a_memory_alarm_of_rabbitmq_stops_rings_and_neither_intake_nor_what_goes_elsewhere(service, node):
    """F4, F1, I4: while the node takes nothing, orders are taken, the console's rows flow, attempts are not burnt."""
    # The audit's too: it takes a destination for one inside unless the settings name it.
    cast(dict[str, str], service.stack.environment).update(CELERY_BROKER_URL=node.url(), OUTBOX_CONSOLE="1")
    service.start()
    assert statuses(place(service, 2)) == {201}
    service.wait_until(lambda: confirmed() == 2, within_seconds=60, what="the first two orders' end")

    node.control("set_vm_memory_high_watermark", "absolute", "1")
    assert statuses(place(service, 8)) == {201}
    created = OutboxMessage.objects.filter(destination="console", type="order.created.v1")
    service.wait_until(
        lambda: created.filter(state="done").count() == 10, within_seconds=30, what="the console's share of the orders"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    assert (attempts_of_the_unfinished(), confirmed(), not_running(service)) == ({0}, 2, [])

    node.control("set_vm_memory_high_watermark", "0.6")
    assert_all_is_well(service)
    assert (confirmed(), attempts(), not_running(service)) == (10, {1}, [])
