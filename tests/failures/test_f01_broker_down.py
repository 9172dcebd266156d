"""F1: broker down, for a minute or ten: every POST still 201 at the same speed; backlog drains; nothing lost, and
attempts not burnt."""

import pytest
from django.db import connection

from local.proxy import Proxy
from outbox import bell, routing
from outbox.models import OutboxMessage
from tests.support.told import consuming, tell

from .plain_orders import attempts, attempts_of_the_unfinished, confirmed, not_running, place, statuses
from .rest import assert_all_is_well

PROCESSES = ("relay", "worker", "remote-worker", "beat")
# Ten poll intervals: whoever would burn attempts on a dead broker has had the time to.
PATIENCE = "5 seconds"


@pytest.mark.django_db
def test_f1_a_ring_that_fails_loses_nothing(monkeypatch):
    """F1: nothing lost, attempts not burnt; the next poll rings again."""
    asked = []

    def send_task(*_, **options):
        asked.append(options)
        raise ConnectionRefusedError("no broker")

    monkeypatch.setattr(routing, "_inside", {})
    monkeypatch.setattr("outbox.bell.current_app.send_task", send_task, raising=False)
    consuming(lambda messages: None)
    tell("a")

    assert bell.ring_all() == 0

    assert [options["retry"] for options in asked] == [False]
    row = OutboxMessage.objects.get()
    assert (row.state, row.attempts) == ("open", 0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_destination SET rings_moved_at = rings_moved_at - interval '1.1 seconds'")
    bell.ring_all()
    assert len(asked) == 2


@pytest.mark.proof
@pytest.mark.parametrize("manner", ["refuses", "hangs"])
def test_f1_orders_are_taken_without_a_broker_and_end_when_it_is_back(service, manner):
    """F1, I1, I4: intake never asks the broker, so its speed cannot depend on it; the backlog drains by itself."""
    with Proxy.before(service.valkey.url()) as broker, Proxy.before(service.valkey.url()) as intakes_broker:
        service.stack.start("sandbox")
        service.stack.start("web", environment={"CELERY_BROKER_URL": intakes_broker.url(service.valkey.url())})
        service.stack.start(*PROCESSES, environment={"CELERY_BROKER_URL": broker.url(service.valkey.url())})
        service.stack.wait_until_ready()
        assert statuses(place(service, 2)) == {201}
        service.wait_until(lambda: confirmed() == 2, within_seconds=60, what="the first two orders' end")

        break_down(broker, manner)
        assert statuses(place(service, 20)) == {201}
        wait_for(PATIENCE)
        assert attempts_of_the_unfinished() == {0}
        assert (confirmed(), not_running(service)) == (2, [])

        broker.heal()
        assert_all_is_well(service)
        assert (confirmed(), attempts(), not_running(service)) == (22, {1}, [])
        assert intakes_broker.landed.connections == 0


def break_down(broker, manner):
    if manner == "hangs":
        broker.black_hole()
        return
    broker.refuse()
    assert broker.cut() >= len(PROCESSES) - 1


def wait_for(interval):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep_for(%s)", [interval])
