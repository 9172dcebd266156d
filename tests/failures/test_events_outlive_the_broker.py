"""F1, F4, I4: RabbitMQ is killed in the middle of batches: an independent client still reads every event at least once,
each order's in order.

The rows are relayed by the process's own loop, through the transport that is deployed, to a quorum queue on disk.
"""

import shutil
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest

from local.folder import Folder
from local.unprivileged import home_for
from outbox import pause, relay
from outbox.models import Destination, OutboxMessage
from tests.support.rabbit import Subscriber, node_or_skip
from tests.support.threads import in_thread
from tests.support.told import isolate, tell

ORDERS, EVENTS_EACH = 150, 6
KILLS_AFTER_DONE = (100, 400)
WITHIN_SECONDS = 120


@pytest.fixture
def node(tmp_path):
    node = node_or_skip(Folder(tmp_path / "rabbit"))
    try:
        node.start()
        yield node
    finally:
        node.end()
        shutil.rmtree(home_for(node.folder.path), ignore_errors=True)


@pytest.fixture
def reader(node, settings, monkeypatch):
    """Declares the queue, and reads at the end; the relay sends small batches, so that there is a middle."""
    isolate(monkeypatch)
    monkeypatch.setattr("outbox.periodic._registered", {})
    monkeypatch.setattr(pause, "FIRST_PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr(pause, "LONGEST_PAUSE", timedelta(milliseconds=500))
    reader = Subscriber(node.url())
    destination = {
        "BACKEND": "outbox.transports.rabbitmq.RabbitMQTransport",
        "TYPES": ["test.*"],
        "OPTIONS": {"url": node.url(), "exchange": reader.exchange},
    }
    settings.OUTBOX = {**settings.OUTBOX, "RELAY_BATCH_SIZE": 25, "DESTINATIONS": {"broker": destination}}
    return reader


@contextmanager
def relaying():
    process = relay.Relay()
    running = in_thread(process.run)
    try:
        yield running
    finally:
        process.stop()
        running.result(60)


def done() -> int:
    return OutboxMessage.objects.filter(state="done").count()


def wait_until(reached: int, running) -> None:
    ends = time.monotonic() + WITHIN_SECONDS
    while done() < reached:
        assert not running.done(), running.exception()
        assert time.monotonic() < ends, f"{done()} of {reached} rows are done: {Destination.objects.get().pause_reason}"
        time.sleep(0.005)


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_f1_a_broker_killed_in_the_middle_of_batches_loses_no_event_and_no_order(node, reader):
    """F1, F4, I4, I12: what was not confirmed goes out again; what was confirmed is on the disk."""
    told = defaultdict(list)
    for order in [uuid4() for _ in range(ORDERS)]:
        for number in range(1, EVENTS_EACH + 1):
            told[str(order)].append(str(tell(str(number), aggregate_id=order, sequence=number)))
    with relaying() as running:
        for reached in KILLS_AFTER_DONE:
            wait_until(reached, running)
            node.programs[-1].kill()
            node.programs[-1].start()
            node._wait()
        wait_until(ORDERS * EVENTS_EACH, running)

    read = defaultdict(list)
    for event in Subscriber(node.url(), exchange=reader.exchange).events():
        if event["eventId"] not in read[event["metadata"]["aggregateId"]]:
            read[event["metadata"]["aggregateId"]].append(event["eventId"])
    assert read == told
    assert set(OutboxMessage.objects.values_list("state", "attempts")) == {("done", 1)}
