"""Queue depths: counted by the broker itself, and never waited for, whatever the broker does."""

import socket
import threading
import time
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis

from operators import brokers
from operators.brokers import Broker, Depth, Watch
from tests.support.rabbit import ON_ONE_NODE

SECRET = "hidden"
# Far above the bound of a look, and far below what a broker that hangs would take.
PATIENCE_SECONDS = 20


@pytest.fixture
def queue(settings):
    """A queue of Celery's that no other test uses."""
    name = f"test-{uuid4()}"
    settings.OUTBOX = {**settings.OUTBOX, "QUEUE_SLOTS": {name: 1}, "DESTINATIONS": {}}
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        yield lambda *messages: client.rpush(name, *messages)
        client.delete(name)


@pytest.fixture
def silent_port():
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def depths(broker: Broker) -> list[int | None]:
    return [one.messages for one in broker.depths if one.queue != brokers.TICKS]


def test_a_queue_in_redis_is_a_list_and_its_length_the_depth(queue):
    [broker] = brokers.ask()
    assert depths(broker) == [0]

    queue("a", "b", "c")

    [broker] = brokers.ask()
    assert (depths(broker), broker.trouble) == ([3], "")


def test_a_broker_that_is_away_is_told_as_such_and_its_password_is_not(settings, queue):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.CELERY_BROKER_URL = f"redis://:{SECRET}@127.0.0.1:{port}/0"

    [broker] = brokers.ask()

    assert (broker.depths, broker.trouble) == ((), "away: ConnectionError")
    assert SECRET not in str(broker)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_hangs_is_told_as_such(settings, queue, silent_port, scheme):
    settings.CELERY_BROKER_URL = f"{scheme}://127.0.0.1:{silent_port}/0"

    [broker] = brokers.ask()

    assert broker.trouble.startswith("away: ")


def test_a_url_that_is_no_brokers_costs_no_more_than_its_own_figure(settings, queue):
    settings.CELERY_BROKER_URL = "memory://"

    assert [broker.trouble for broker in brokers.ask()] == ["away: ValueError"]


class TestNobodyWaits:
    def test_a_question_that_takes_longer_is_left_to_its_thread_and_asked_once(self):
        asked, let_go = [], threading.Event()

        def ask() -> list[Broker]:
            asked.append(1)
            let_go.wait(PATIENCE_SECONDS)
            return [Broker(title="late", depths=(Depth(queue="q", messages=1),))]

        watch = Watch(ask)
        began = time.monotonic()
        assert [broker.trouble for broker in watch.look()] == ["no answer within 0.3 s"]
        assert [broker.trouble for broker in watch.look()] == ["no answer within 0.3 s"]
        assert time.monotonic() - began < PATIENCE_SECONDS
        assert asked == [1]

        let_go.set()
        assert [broker.title for broker in watch.look()] == ["late"]

    def test_meanwhile_the_last_answer_is_shown_until_it_is_stale(self, monkeypatch):
        let_go, is_slow = threading.Event(), []

        def ask() -> list[Broker]:
            if is_slow:
                let_go.wait(PATIENCE_SECONDS)
            return [Broker(title="known")]

        watch = Watch(ask)
        watch.look()
        is_slow.append(1)
        assert [broker.title for broker in watch.look()] == ["known"]
        monkeypatch.setattr(brokers, "STALE_SECONDS", -1)
        assert [broker.trouble for broker in watch.look()] == ["no answer within 0.3 s"]
        let_go.set()

    def test_a_question_that_breaks_is_asked_again(self):
        answers = [0, 1]

        def ask() -> list[Broker]:
            return [Broker(title=f"{1 // answers.pop(0)}")]

        watch = Watch(ask)

        with pytest.raises(ZeroDivisionError):
            watch.look()
        assert [broker.title for broker in watch.look()] == ["1"]


@ON_ONE_NODE
def test_queues_at_rabbitmq_are_counted_and_one_that_is_not_there_is_told_as_such(settings, subscriber):
    missing = f"test-{uuid4()}"
    address = urlsplit(subscriber.url)
    settings.CELERY_BROKER_URL = subscriber.url
    events = {"BACKEND": "", "OPTIONS": {"url": f"amqp://guest:guest@{address.hostname}:{address.port}//"}}
    settings.OUTBOX = {
        **settings.OUTBOX,
        "QUEUE_SLOTS": {subscriber.queue: 1, missing: 1},
        "DESTINATIONS": {"rabbitmq": events},
        "WORK_QUEUES": {subscriber.queue: ["test.#"]},
    }

    celery, others = brokers.ask()

    assert (depths(celery), celery.trouble) == ([0, None], "")
    assert [(one.queue.rpartition(".")[2], one.messages) for one in others.depths] == [("q", 0), ("dlq", None)]
    subscriber.channel.queue_declare(subscriber.queue, passive=True)
