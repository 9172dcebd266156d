"""F5: Postgres restarted at once, backends terminated, connections exhausted: 503 problem + Retry-After meanwhile;
first good order <= 10 s after; no process needs a restart.

The drill measures the seconds; here the first good order is waited for.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from django.db import connection

from orders.models import Order
from outbox import relay
from tests.outbox.test_relay import OUTSIDE, Outside
from tests.support.threads import in_thread
from tests.support.told import isolate, tell

from .own_postgres import no_connection_left, own_postgres, stop_at_once, terminate_backends
from .plain_orders import confirmed, not_running, place, statuses
from .rest import assert_all_is_well

__all__ = ["own_postgres"]
ORDERS = 4


@pytest.mark.django_db(transaction=True)
def test_f5_a_lost_connection_costs_the_relay_a_moment(settings, monkeypatch):
    """F5: no process needs a restart."""
    isolate(monkeypatch)
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"broker": OUTSIDE}}
    monkeypatch.setattr(Outside, "sent", [])
    monkeypatch.setattr("outbox.periodic._registered", {})
    monkeypatch.setattr("outbox.relay.RECONNECT_SECONDS", 0.01)
    process = relay.Relay()
    running = in_thread(process.run)
    waited = connection.cursor()
    for round_number in range(2):
        waited.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        tell(f"m{round_number}")
        for _ in range(1_000):
            if len(Outside.sent) > round_number:
                break
            waited.execute("SELECT pg_sleep(0.01)")
    process.stop()
    running.result(10)

    assert Outside.sent == ["m0", "m1"]


@contextmanager
def stopped(server) -> Iterator[None]:
    stop_at_once(server)
    yield
    server.start()


@contextmanager
def exhausted(server) -> Iterator[None]:
    with no_connection_left(server):
        yield


@pytest.mark.proof
def test_f5_postgres_away_is_a_503_and_its_return_needs_nobody(service, own_postgres):
    """F5, I1, I2: what was refused is placed once by its retry; the same processes go on, forked children included."""
    service.start()
    assert statuses(place(service, ORDERS)) == {201}
    processes = children_of(service)

    for number, outage in enumerate((stopped, exhausted), start=1):
        keys = [str(uuid.uuid4()) for _ in range(ORDERS)]
        with outage(own_postgres):
            for answer in place(service, ORDERS, keys=keys):
                assert_unavailable(answer)
            assert service.http.get(f"{service.base_url}/health/ready", timeout=30).status_code == 503
            assert service.http.get(f"{service.base_url}/health/live", timeout=30).status_code == 200
        place_until_taken(service, keys)
        assert Order.objects.count() == (1 + number) * ORDERS

    assert (not_running(service), children_of(service)) == ([], processes)
    assert_all_is_well(service)
    assert confirmed() == 3 * ORDERS


@pytest.mark.proof
def test_f5_terminated_backends_cost_a_retry_and_no_order(service, own_postgres):
    """F5, I1, I2: every session is ended three times while orders are placed and fulfilled."""
    service.start()
    processes = children_of(service)
    keys = [str(uuid.uuid4()) for _ in range(3 * ORDERS)]

    for share in range(3):
        place(service, ORDERS, keys=keys[share::3])
        assert terminate_backends(own_postgres) >= 4
    place_until_taken(service, keys)

    assert_all_is_well(service)
    assert (Order.objects.count(), confirmed()) == (3 * ORDERS, 3 * ORDERS)
    assert (not_running(service), children_of(service)) == ([], processes)


def assert_unavailable(answer):
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].rpartition("/")[2] in {"service-unavailable", "outcome-unknown"}
    assert int(answer.headers["Retry-After"]) >= 1


def place_until_taken(service, keys):
    """Each key again and again, as clients do; refusals are honest meanwhile."""

    def all_taken():
        answers = place(service, len(keys), keys=keys)
        assert statuses(answers) <= {201, 409, 503}
        return statuses(answers) == {201}

    service.wait_until(all_taken, within_seconds=60, what="the first good orders")


def children_of(service):
    """Every process of the service, by id: the web's and the workers' children too."""
    roots = [psutil.Process(program.pid) for program in service.stack.programs.values()]
    return {process.pid for root in roots for process in [root, *root.children(recursive=True)]}
