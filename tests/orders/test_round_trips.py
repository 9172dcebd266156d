"""SQL round trips of a batch, stage by stage: they depend on no machine, so a statement too many shows at once.

BEGIN and COMMIT are counted; the ring that a stage is answered by, and the one it ends with, are part of it.
"""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.models import Order
from outbox import remote
from providers import gate as gates
from tests.support.drive import deliver
from tests.support.provider import limits
from tests.support.shop import START, Shop, step

ORDERS = 10

# However many orders the batch has, up to OUTBOX_CLAIM_BATCH_SIZE (and the provider's call slots).
ROUND_TRIPS = {
    START: 11,
    step("reserve_stock"): 13,
    step("charge_payment"): 22,
    step("create_shipment"): 22,
    step("confirm_order"): 13,
    "notifications.order_confirmed": 15,
}


@pytest.fixture
def steady(settings, monkeypatch):
    """Time decides nothing: all answers of a batch are recorded together, and the breaker's row is read once."""
    for bound in ("GATHER_MIN_SECONDS", "GATHER_MAX_SECONDS"):
        monkeypatch.setattr(remote, bound, 30.0)
    monkeypatch.setattr(gates, "READING_MAX_AGE_SECONDS", 3600.0)
    limits(settings, CALL_SLOTS=2 * ORDERS)


@pytest.mark.django_db(transaction=True)
def test_each_stage_of_an_order_costs_this_many_round_trips_for_the_whole_batch(shop: Shop, steady):
    for _ in range(ORDERS):
        shop.order()

    assert {stage: _round_trips(stage) for stage in ROUND_TRIPS} == ROUND_TRIPS

    assert set(Order.objects.values_list("status", flat=True)) == {Order.Status.CONFIRMED}


def _round_trips(stage: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert deliver(stage) == [ORDERS]
    return len(queries)
