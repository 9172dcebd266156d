"""The service's promise, on real processes: every order ends, the books agree, whatever is killed on the way.

These tests wait generously and assert nothing about time beyond that they end.
"""

import os

import pytest
from django.conf import settings
from django.test import override_settings

from audit.report import audit_now
from local import rabbitmq
from local.folder import Folder
from local.rabbitmq import RabbitMQ
from tests.support import webhooks

from . import books, crowd

# Enough that each kind of order is there when the kill comes; `make proof` places more.
ORDERS = [48, pytest.param(200, marks=pytest.mark.proof)]


@pytest.fixture(params=["redis", "amqp"])
def broker_environment(request, service):
    """The broker under Celery: the service's Valkey, or a RabbitMQ node of the test's own."""
    if request.param == "redis":
        yield {}
        return
    if rabbitmq.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("rabbitmq-server is not installed, and CI must prove the acceptance on RabbitMQ")
        pytest.skip("rabbitmq-server is not installed")
    node = RabbitMQ(Folder(service.stack.folder.path / "rabbitmq"))
    try:
        node.start()
        yield {"CELERY_BROKER_URL": node.url()}
    finally:
        service.stack.kill()
        node.end()


def all_ended() -> bool:
    """Audited beside the traffic, every order as soon as it ended: what is in order at rest is so all the way."""
    with override_settings(AUDIT={**settings.AUDIT, "SETTLED_SECONDS": 0}):
        assert audit_now(at_rest=False, with_ledgers=False).violations == []
    return books.still_under_way() == 0


def wait_for_rest(service, *, within_seconds: float) -> None:
    service.wait_until(all_ended, within_seconds=within_seconds, what="the end of every order")
    service.wait_until(lambda: webhooks.under_way(service.sandbox_url) == 0, within_seconds=60, what="the last webhook")
    service.wait_until(lambda: books.open_messages() == 0, within_seconds=60, what="rest in the outbox")


@pytest.mark.parametrize("orders", ORDERS)
def test_every_order_ends_though_a_worker_and_the_relay_are_killed(service, broker_environment, orders):
    """I1–I5, I8–I10: mixed orders; the workers of both kinds and the relay die without a word in between."""
    service.start(environment=broker_environment)
    half = orders // 2

    placed = crowd.place_all(service, half)
    service.kill("remote-worker", "relay")
    placed += crowd.place_all(service, orders - half)
    service.kill("worker")
    service.start(environment=broker_environment)

    wait_for_rest(service, within_seconds=120)
    assert len(set(placed)) == orders
    assert books.ends() == {end: 2 * count for end, count in crowd.expected_ends(half).items()}
    assert service.audit() == []


@pytest.mark.parametrize("orders", ORDERS)
def test_orders_in_flight_survive_a_dead_celery_and_an_empty_broker(service, orders):
    """F2, I4: every Celery process is killed and the broker emptied under orders; nobody lends a hand."""
    service.start()
    placed = crowd.place_all(service, orders)
    service.kill("worker", "remote-worker", "beat", "relay")
    in_flight = books.still_under_way()
    service.flush_broker()
    service.start()

    wait_for_rest(service, within_seconds=120)
    assert len(set(placed)) == orders
    assert in_flight > 0, "nothing was in flight: the kill came too late to prove anything"
    assert books.ends() == crowd.expected_ends(orders)
    assert service.audit() == []


@pytest.mark.parametrize("alone", ["beat", "relay"])
def test_orders_end_with_beat_alone_and_with_the_relay_alone(service, alone):
    """S21: either of the two is enough."""
    service.start("sandbox", "web", "worker", "remote-worker", alone)

    crowd.place_all(service, 16)

    wait_for_rest(service, within_seconds=120)
    assert books.ends() == crowd.expected_ends(16)
    assert service.audit() == []
