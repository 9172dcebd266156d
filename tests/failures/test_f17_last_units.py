"""F17: 64 clients want the last units of one SKU: sold = min(demand, stock), never more, never fewer."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import pytest

from inventory.models import Product, Reservation, StockItem
from local.process_table import NAMES
from orders.models import Order
from tests.inventory.builders import stock as stock_of
from tests.inventory.builders import stocked
from tests.orders.builders import place
from tests.support.drive import deliver_due, drive
from tests.support.shop import outcome, saga_of
from tests.support.threads import at_once

from .rest import assert_all_is_well

CLIENTS = 64


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("units", "wanted"), [(5, 12), (12, 5), (7, 7)])
def test_f17_orders_of_one_sku_fulfilled_by_workers_at_once_sell_exactly_what_there_is(shop, units, wanted):
    """F17, I10: through the whole saga, with three workers that take whatever is due."""
    stocked("HOT", units)
    orders = [place(shop.customer, ("HOT", 1)) for _ in range(wanted)]

    def work():
        while deliver_due():
            pass

    at_once(work, work, work)
    drive()

    sold = min(units, wanted)
    ends = [outcome(order) for order in orders]
    assert ends.count(("confirmed", "", "completed")) == sold
    assert ends.count(("rejected", "out_of_stock", "compensated")) == wanted - sold
    assert stock_of("HOT") == (units - sold, 0)
    assert shop.provider.asked("charge") == sold


@pytest.mark.django_db
def test_f17_units_of_an_order_that_is_undone_are_sold_to_the_next_one(shop):
    """F17: never fewer: what a refused parcel gives back is there for whoever comes after."""
    stocked("LAST", 1)
    shop.provider.will("create", "refuse")
    first = place(shop.customer, ("LAST", 1))
    drive()
    second, third = place(shop.customer, ("LAST", 1)), place(shop.customer, ("LAST", 1))
    drive()

    assert outcome(first) == ("rejected", "shipping_unavailable", "compensated")
    assert [outcome(order)[0] for order in (second, third)] == ["confirmed", "rejected"]
    assert saga_of(third).reason == "out_of_stock"
    assert stock_of("LAST") == (0, 0)


@pytest.mark.proof
def test_f17_sixty_four_clients_over_real_processes_buy_the_last_units(service):
    """F17, I10: one SKU that is short and one that is not, four web processes, four processes of local work."""
    give("SHORT", 40)
    give("AMPLE", 100)
    service.start(*NAMES, "worker-2", environment={"WEB_WORKERS": "4"})
    bodies = [{"sku": sku, "quantity": 1} for sku in islice(cycle(["SHORT", "AMPLE"]), 2 * CLIENTS)]

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda body: service.place(body).status_code, bodies))

    assert answers == [201] * (2 * CLIENTS)
    assert_all_is_well(service)
    assert sold("SHORT") == (40, CLIENTS - 40)
    assert sold("AMPLE") == (CLIENTS, 0)
    assert stock_of("SHORT") == (0, 0)
    assert stock_of("AMPLE") == (100 - CLIENTS, 0)
    assert Reservation.objects.filter(state="committed").count() == 40 + CLIENTS


def give(sku, units):
    """A product of the running shop with so many units."""
    stocked(sku, units)
    assert Product.objects.filter(sku=sku).exists()
    assert StockItem.objects.get(sku=sku).on_hand == units


def sold(sku):
    """(orders that were confirmed, orders that were told it is out of stock)"""
    orders = Order.objects.filter(lines__sku=sku)
    return orders.filter(status="confirmed").count(), orders.filter(status="rejected", reason="out_of_stock").count()
