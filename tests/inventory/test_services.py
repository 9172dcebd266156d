"""Reserve, release, commit: set-based, all or nothing per order, never more than there is and never fewer (I10)."""

import threading
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from inventory import services
from inventory.models import Product, Reservation, StockItem
from tests.inventory.builders import reservations, stock, stocked

pytestmark = pytest.mark.django_db


def ids(count: int) -> list[UUID]:
    return [uuid7() for _ in range(count)]


def test_a_reservation_promises_every_line_of_the_order():
    stocked("WIDGET", 10)
    stocked("GADGET", 5)
    order = uuid7()

    assert services.reserve({order: [("WIDGET", 3), ("GADGET", 2)]}) == {order: None}

    assert reservations(order) == {"WIDGET": (3, "reserved"), "GADGET": (2, "reserved")}
    assert stock("WIDGET") == (10, 3)
    assert stock("GADGET") == (5, 2)


def test_an_order_that_lacks_one_line_reserves_nothing():
    stocked("WIDGET", 10)
    stocked("GADGET", 1)
    order = uuid7()

    assert services.reserve({order: [("WIDGET", 3), ("GADGET", 2)]}) == {order: "out_of_stock"}

    assert reservations(order) == {}
    assert stock("WIDGET") == (10, 0)
    assert stock("GADGET") == (1, 0)


def test_a_product_without_stock_is_out_of_stock():
    order = uuid7()
    assert services.reserve({order: [("NOWHERE", 1)]}) == {order: "out_of_stock"}
    assert not Reservation.objects.exists()


def test_orders_are_served_in_id_order_and_the_rest_refused():
    stocked("LAST", 5)
    first, second, third, fourth = ids(4)

    # Handed over backwards on purpose.
    answers = services.reserve(
        {fourth: [("LAST", 1)], third: [("LAST", 2)], second: [("LAST", 3)], first: [("LAST", 2)]}
    )

    assert answers == {first: None, second: None, third: "out_of_stock", fourth: "out_of_stock"}
    assert stock("LAST") == (5, 5)


def test_an_order_that_asks_too_much_does_not_stand_in_the_way_of_the_next():
    stocked("LAST", 3)
    greedy, modest = ids(2)
    assert services.reserve({greedy: [("LAST", 4)], modest: [("LAST", 3)]}) == {greedy: "out_of_stock", modest: None}
    assert stock("LAST") == (3, 3)


def test_reserving_again_changes_nothing():
    stocked("WIDGET", 10)
    order = uuid7()
    services.reserve({order: [("WIDGET", 3)]})

    assert services.reserve({order: [("WIDGET", 3)]}) == {order: None}

    assert stock("WIDGET") == (10, 3)
    assert Reservation.objects.count() == 1


def test_a_released_order_does_not_reserve_again():
    stocked("WIDGET", 10)
    order = uuid7()
    services.reserve({order: [("WIDGET", 3)]})
    services.release([order])

    assert services.reserve({order: [("WIDGET", 3)]}) == {order: "already_released"}
    assert stock("WIDGET") == (10, 0)


def test_release_gives_back_once():
    stocked("WIDGET", 10)
    order, other = ids(2)
    services.reserve({order: [("WIDGET", 3)], other: [("WIDGET", 4)]})

    services.release([order])
    services.release([order])

    assert stock("WIDGET") == (10, 4)
    assert reservations(order) == {"WIDGET": (3, "released")}
    assert reservations(other) == {"WIDGET": (4, "reserved")}


def test_commit_takes_from_the_shelf_once():
    stocked("WIDGET", 10)
    order, other = ids(2)
    services.reserve({order: [("WIDGET", 3)], other: [("WIDGET", 4)]})

    services.commit([order])
    services.commit([order])

    assert stock("WIDGET") == (7, 4)
    assert reservations(order) == {"WIDGET": (3, "committed")}


def test_what_is_committed_is_not_released():
    stocked("WIDGET", 10)
    order = uuid7()
    services.reserve({order: [("WIDGET", 3)]})
    services.commit([order])
    services.release([order])
    assert stock("WIDGET") == (7, 0)
    assert reservations(order) == {"WIDGET": (3, "committed")}


def test_ending_orders_that_reserved_nothing_changes_nothing():
    stocked("WIDGET", 10)
    services.release(ids(2))
    services.commit(ids(2))
    assert stock("WIDGET") == (10, 0)


def test_a_batch_of_a_hot_product_updates_its_row_once():
    """P8: one update per batch, not one per order."""
    stocked("HOT", 1_000)
    orders = ids(50)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        services.reserve({order: [("HOT", 1)] for order in orders})
    updates = [query["sql"] for query in queries if "UPDATE inventory_stockitem" in query["sql"]]
    assert len(updates) == 1
    assert len(queries) == 2  # the lock; earlier answers, stock and reservations
    assert stock("HOT") == (1_000, 50)


def test_a_batch_of_new_and_known_orders_serves_the_new_ones_only():
    stocked("WIDGET", 5)
    known, released, fresh, late = ids(4)
    services.reserve({known: [("WIDGET", 2)], released: [("WIDGET", 1)]})
    services.release([released])

    answers = services.reserve({order: [("WIDGET", 2)] for order in (known, released, fresh, late)})

    expected = {known: None, released: services.ALREADY_RELEASED, fresh: None, late: services.OUT_OF_STOCK}
    assert answers == expected
    assert stock("WIDGET") == (5, 4)
    assert Reservation.objects.filter(order_id__in=[known, fresh], state="reserved").count() == 2
    assert not Reservation.objects.filter(order_id=late).exists()


def test_ending_a_batch_takes_one_statement():
    stocked("HOT", 1_000)
    orders = ids(50)
    services.reserve({order: [("HOT", 1)] for order in orders})
    with CaptureQueriesContext(connection) as queries:
        services.commit(orders)
    assert len(queries) == 1
    assert stock("HOT") == (950, 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shelves=st.lists(st.integers(min_value=0, max_value=12), min_size=1, max_size=3),
    wishes=st.lists(
        st.dictionaries(st.integers(0, 2), st.integers(min_value=1, max_value=6), min_size=1, max_size=3), max_size=8
    ),
)
def test_stock_is_conserved_whatever_is_asked(shelves: list[int], wishes: list[dict[int, int]]):
    """I10: reserved = Σ open reservations, never beyond on hand; a refused order could really not be served."""
    Reservation.objects.all().delete()
    StockItem.objects.all().delete()
    Product.objects.all().delete()
    for number, on_hand in enumerate(shelves):
        stocked(f"SKU-{number}", on_hand)
    requests = {uuid7(): [(f"SKU-{n}", quantity) for n, quantity in wish.items()] for wish in wishes}

    answers = services.reserve(requests)

    left = {f"SKU-{number}": on_hand for number, on_hand in enumerate(shelves)}
    for order in sorted(requests):
        could_be_served = all(left.get(sku, 0) >= quantity for sku, quantity in requests[order])
        assert (answers[order] is None) is could_be_served
        if could_be_served:
            for sku, quantity in requests[order]:
                left[sku] -= quantity
    for number, on_hand in enumerate(shelves):
        assert stock(f"SKU-{number}") == (on_hand, on_hand - left[f"SKU-{number}"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("units", "buyers"), [(7, 24), (24, 7)])
def test_many_threads_sell_the_smaller_of_demand_and_stock(units: int, buyers: int):
    """F17: never oversold, never undersold."""
    stocked("HOT", units)
    answers: dict[UUID, str | None] = {}
    start = threading.Barrier(buyers)

    def buy() -> None:
        order = uuid7()
        start.wait()
        try:
            answers.update(services.reserve({order: [("HOT", 1)]}))
        finally:
            connection.close()

    threads = [threading.Thread(target=buy) for _ in range(buyers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sold = sum(reason is None for reason in answers.values())
    assert len(answers) == buyers
    assert sold == min(units, buyers)
    assert stock("HOT") == (units, sold)
    assert Reservation.objects.count() == sold


@pytest.mark.django_db(transaction=True)
def test_one_order_reserved_by_many_threads_is_reserved_once():
    stocked("WIDGET", 100)
    stocked("GADGET", 100)
    order = uuid7()
    answers: list[dict[UUID, str | None]] = []
    start = threading.Barrier(8)

    def reserve() -> None:
        start.wait()
        try:
            answers.append(services.reserve({order: [("WIDGET", 3), ("GADGET", 1)]}))
        finally:
            connection.close()

    threads = [threading.Thread(target=reserve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [{order: None}] * 8
    assert stock("WIDGET") == (100, 3)
    assert Reservation.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_orders_that_many_threads_end_at_once_end_once():
    """I10: each thread waits for the stock, and then finds nothing left to end of what another has ended."""
    stocked("WIDGET", 100)
    stocked("GADGET", 100)
    orders = ids(6)
    services.reserve({order: [("WIDGET", 3), ("GADGET", 1)] for order in orders})
    start = threading.Barrier(6)

    def end(number: int) -> None:
        start.wait()
        try:
            services.commit(orders[number:] + orders[: number // 2])
        finally:
            connection.close()

    threads = [threading.Thread(target=end, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (stock("WIDGET"), stock("GADGET")) == ((82, 0), (94, 0))
    assert set(Reservation.objects.values_list("state", flat=True)) == {"committed"}
