"""broker_dlq_depth: what waits in RabbitMQ's dead-letter queues, and nothing where nobody can tell."""

import socket
from contextlib import closing
from uuid import uuid4

import amqp
import pytest

from local.ports import any_free
from local.stack import wait_until
from outbox import broker_depth, rabbitmq, telemetry, topology
from tests.support.rabbit import ON_ONE_NODE

pytestmark = pytest.mark.django_db


@pytest.fixture
def stem():
    """Of a work queue that no other test uses."""
    return f"test-{uuid4()}"


@pytest.fixture
def broker(settings, stem):
    """Says where the broker is; the work queues are the test's own."""

    def at(url):
        destination = {"BACKEND": "outbox.transports.rabbitmq.RabbitMQTransport", "OPTIONS": {"url": url}}
        queues = {f"{stem}.q": ["test.#"], f"{stem}-undeclared.q": ["test.#"]}
        settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"rabbitmq": destination}, "WORK_QUEUES": queues}

    return at


def depths():
    family = next(metric for metric in telemetry.collect() if metric.name == "broker_dlq_depth")
    return {sample.labels["queue"]: sample.value for sample in family.samples}


@ON_ONE_NODE
def test_each_dead_letter_queue_tells_how_many_wait_in_it(broker, stem, rabbit_node, subscriber):
    """One that was never declared has no depth, and costs the others nothing."""
    broker(rabbit_node.url())
    topology.declare(subscriber.connection, topology.parts({f"{stem}.q": ["test.#"]}))
    assert depths() == {f"{stem}.dlq": 0}

    for _ in range(2):
        subscriber.channel.basic_publish_confirm(amqp.Message("{}"), exchange=f"{stem}.dlx", routing_key="test.x")

    # A quorum queue tells its new length a moment later.
    wait_until(lambda: depths() == {f"{stem}.dlq": 2}, within_seconds=30, what="both are counted")


def test_without_a_broker_nobody_is_asked(monkeypatch):
    monkeypatch.setattr(rabbitmq, "connect", lambda *_, **__: pytest.fail("asked"))

    assert depths() == {}


def test_a_broker_that_is_away_costs_these_figures_only(broker):
    broker(f"amqp://127.0.0.1:{any_free()}//")

    names = {metric.name for metric in telemetry.collect()}

    assert (depths(), "outbox_pending" in names) == ({}, True)


def test_a_broker_that_is_silent_is_given_up(broker, monkeypatch):
    monkeypatch.setattr(broker_depth, "ASK_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        broker(f"amqp://127.0.0.1:{server.getsockname()[1]}//")

        assert depths() == {}
