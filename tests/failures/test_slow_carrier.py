"""F12: a slow carrier must not starve payments: queue, slots, breaker and threads are each provider's own."""

from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event

import pytest
from django.db import connection

from outbox import consumer
from payments.models import Payment
from shipping.models import Shipment
from tests.support.drive import drive
from tests.support.provider import limits
from tests.support.sandbox import Sandbox
from tests.support.shop import outcome, step

from .rest import assert_all_is_well

CHARGE, SHIP = step("charge_payment"), step("create_shipment")
ORDERS = 5
RINGS = 12
# Two for each of the two destinations, as orders_project.checks wants it of a worker.
THREADS = 4


@pytest.mark.django_db(transaction=True)
def test_f12_a_carrier_whose_every_call_hangs_leaves_all_payments_alone(shop, settings):
    """F12: one run has all its calls; each further ring is answered at once and frees its thread."""
    limits(settings, TOTAL_DEADLINE_SECONDS=120.0)
    go_on = Event()
    shop.provider.before["create"] = lambda: go_on.wait(60) and None

    with ThreadPoolExecutor(THREADS) as worker:
        to_ship = [ship_beside_the_others(shop, worker, number) for number in range(1, ORDERS + 1)]
        to_pay = [shop.up_to("charge_payment") for _ in range(ORDERS)]
        paying = [worker.submit(answer_ring, CHARGE) for _ in range(RINGS)]
        ended, _ = wait(paying, timeout=30)
        charged, shipped = shop.provider.happened("charge"), shop.provider.happened("create")
        go_on.set()
    assert len(ended) == RINGS
    assert (len(charged), shipped) == (2 * ORDERS, [])

    drive()
    assert {outcome(order) for order in to_ship + to_pay} == {("confirmed", "", "completed")}


def ship_beside_the_others(shop, worker, number):
    """One more order, whose call to the carrier hangs; its ring is one more than were answered so far."""
    order = shop.up_to("create_shipment")
    worker.submit(answer_ring, SHIP)
    for _ in range(1_000):
        if shop.provider.asked("create") == number:
            return order
        Event().wait(0.01)
    raise AssertionError(f"shipment {number} was not asked for")


def answer_ring(name):
    """As a worker's thread does."""
    try:
        return consumer.deliver(name)
    finally:
        connection.close()


@pytest.mark.proof
def test_f12_the_real_worker_charges_every_order_while_every_call_to_the_carrier_hangs(service):
    """F12: with one remote worker for all providers, as `make up` starts it."""
    service.start()
    sandbox = Sandbox(service.stack.programs["sandbox"], service.sandbox_url)
    sandbox.mood("shipping", "ok", hang=1.0)
    for _ in range(40):
        assert service.place({"sku": "CABLE", "quantity": 1}).status_code == 201

    service.wait_until(
        lambda: Payment.objects.filter(status="captured").count() == 40, within_seconds=60, what="every payment"
    )
    assert not Shipment.objects.filter(status="created").exists()

    sandbox.mood("shipping", "ok")
    assert_all_is_well(service)
    assert Shipment.objects.filter(status="created").count() == 40
    assert sandbox.violations() == []
