"""The last line of I9 and of the order's lifecycle: Postgres refuses what the services would never write."""

import pytest
from django.db import IntegrityError, connection, transaction

from orders import services
from orders.models import Order, OrderLine
from tests.orders.builders import customer, place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


def refused(sql: str) -> str:
    with pytest.raises(IntegrityError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    return str(caught.value.__cause__.diag.constraint_name)


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE orders_orderline SET line_total_minor = 1", "order_line_total_is_quantity_times_price"),
        ("UPDATE orders_orderline SET quantity = 2", "order_line_total_is_quantity_times_price"),
        ("UPDATE orders_orderline SET unit_price_minor = 1", "order_line_total_is_quantity_times_price"),
        ("UPDATE orders_orderline SET quantity = 0, line_total_minor = 0", "order_line_quantity_is_positive"),
        ("UPDATE orders_orderline SET unit_price_minor = 0, line_total_minor = 0", "order_line_price_is_positive"),
        ("UPDATE orders_order SET total_minor = 0", "order_total_is_positive"),
        ("UPDATE orders_order SET currency = 'eur'", "order_currency_is_a_code"),
        ("UPDATE orders_order SET sequence = 0", "order_sequence_starts_at_one"),
        ("UPDATE orders_order SET status = 'confirmed'", "order_has_an_end_if_and_only_if_it_ended"),
        ("UPDATE orders_order SET ended_at = now()", "order_has_an_end_if_and_only_if_it_ended"),
        ("UPDATE orders_order SET status = 'lost', ended_at = now()", "order_status_is_known"),
        ("UPDATE orders_order SET status = 'rejected', ended_at = now()", "a_rejected_order_has_a_reason"),
        (
            "UPDATE orders_order SET status = 'confirmed', ended_at = now(), cancel_requested_at = now()",
            "a_confirmed_order_was_not_cancelled",
        ),
    ],
)
def test_a_row_that_breaks_a_promise_is_refused_by_postgres(sql: str, constraint: str):
    place(customer())
    assert refused(sql) == constraint


def test_a_second_line_of_one_product_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match="one_line_per_order_and_sku"), transaction.atomic():
        place(customer(), ("WIDGET", 1), ("WIDGET", 2))
    assert not Order.objects.exists()


def test_a_wrong_line_total_does_not_get_past_postgres(monkeypatch: pytest.MonkeyPatch):
    """Sabotage of I9: the code multiplies wrongly."""

    def wrong(order_id, item, unit_price_minor):
        return OrderLine(order_id=order_id, sku=item.sku, quantity=2, unit_price_minor=999, line_total_minor=999)

    monkeypatch.setattr(services, "_line", wrong)
    with pytest.raises(IntegrityError, match="order_line_total_is_quantity_times_price"), transaction.atomic():
        place(customer())
    assert not Order.objects.exists()


def test_the_table_of_transitions_is_what_the_guarded_update_allows():
    ends = {"confirmed", "rejected", "cancelled"}
    assert {status: {after.value for after in allowed} for status, allowed in Order.TRANSITIONS.items()} == {
        "pending": ends,
        **{end: set() for end in ends},
    }
