"""The last line of I10: Postgres refuses what the services would never ask."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from uuid_utils.compat import uuid7

from inventory import services
from inventory.models import Reservation
from tests.inventory.builders import stock, stocked

pytestmark = pytest.mark.django_db


def refused(sql: str, *parameters: Any) -> str:
    """Runs a statement that Postgres must refuse; answers the name of what refused it."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
    return str(caught.value.__cause__.diag.constraint_name)


def test_reserving_beyond_what_is_on_hand_is_refused_by_postgres():
    stocked("WIDGET", 5)
    assert refused("UPDATE inventory_stockitem SET reserved = 6 WHERE sku = 'WIDGET'") == "stock_is_never_oversold"
    assert stock("WIDGET") == (5, 0)


def test_negative_stock_is_refused_by_postgres():
    stocked("WIDGET", 5)
    assert refused("UPDATE inventory_stockitem SET on_hand = -1 WHERE sku = 'WIDGET'") == "stock_is_never_oversold"
    assert refused("UPDATE inventory_stockitem SET reserved = -1 WHERE sku = 'WIDGET'") == "stock_is_never_oversold"


def test_a_second_reservation_of_one_product_for_one_order_is_refused_by_postgres():
    order = uuid7()
    Reservation.objects.create(order_id=order, sku="WIDGET", quantity=1)
    sql = (
        "INSERT INTO inventory_reservation (order_id, sku, quantity, state, created_at)"
        " VALUES (%s, 'WIDGET', 1, 'reserved', now())"
    )
    assert refused(sql, order) == "one_reservation_per_order_and_sku"


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE inventory_reservation SET quantity = 0", "reservation_quantity_is_positive"),
        ("UPDATE inventory_reservation SET state = 'released'", "reservation_has_an_end_if_and_only_if_it_ended"),
        ("UPDATE inventory_reservation SET state = 'lost'", "reservation_has_an_end_if_and_only_if_it_ended"),
    ],
)
def test_a_reservation_that_makes_no_sense_is_refused_by_postgres(sql: str, constraint: str):
    Reservation.objects.create(order_id=uuid7(), sku="WIDGET", quantity=1)
    assert refused(sql) == constraint


@pytest.mark.parametrize("price", [0, -1, 1_000_000_000_001])
def test_a_price_that_is_not_positive_or_not_bounded_is_refused_by_postgres(price: int):
    stocked("WIDGET", 5)
    constraint = refused("UPDATE inventory_productprice SET unit_price_minor = %s", price)
    assert constraint == "a_price_is_positive_and_bounded"


def test_the_check_refuses_even_a_reserve_whose_guard_was_removed(monkeypatch: pytest.MonkeyPatch):
    """Sabotage: without the guard in code the constraint is what keeps I10."""
    stocked("WIDGET", 1)
    monkeypatch.setattr(
        services, "RESERVE", services.RESERVE.replace("AND stock.reserved + wanted.quantity <= stock.on_hand", "")
    )
    monkeypatch.setattr(
        services, "_serve", lambda fresh, free: {o: services.Counter(dict(x)) for o, x in fresh.items()}
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        services.reserve({uuid7(): [("WIDGET", 2)]})
    assert stock("WIDGET") == (1, 0)
    assert not Reservation.objects.exists()


def test_a_guarded_update_that_misses_a_row_is_an_error(monkeypatch: pytest.MonkeyPatch):
    stocked("WIDGET", 1)
    monkeypatch.setattr(
        services, "_serve", lambda fresh, free: {o: services.Counter(dict(x)) for o, x in fresh.items()}
    )
    with pytest.raises(services.StockLost), transaction.atomic():
        services.reserve({uuid7(): [("WIDGET", 2)]})
    assert not Reservation.objects.exists()
