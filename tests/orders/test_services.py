"""Place, confirm, reject, cancel: one guarded UPDATE per batch, each event in the same transaction (I1, I9, I12)."""

import threading

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from orders import services, telemetry
from orders.exceptions import PricesDiffer, UnknownProducts
from orders.models import Order, OrderLine
from outbox.models import OutboxMessage
from tests.orders.builders import customer, place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


def status(order: Order) -> tuple[str, str, int, bool]:
    """(status, reason, sequence, has it ended)"""
    row = Order.objects.get(id=order.id)
    return row.status, row.reason, row.sequence, row.ended_at is not None


def test_an_order_is_placed_at_the_catalogues_prices_and_published(published):
    ann = customer()
    order = place(ann, ("WIDGET", 3), ("GADGET", 1))

    assert status(order) == ("pending", "", 1, False)
    assert order.total_minor == 3 * 999 + 2450
    lines = OrderLine.objects.order_by("id")
    assert list(lines.values_list("sku", "quantity", "unit_price_minor", "line_total_minor")) == [
        ("WIDGET", 3, 999, 2997),
        ("GADGET", 1, 2450, 2450),
    ]
    assert published() == [
        (
            "order.created.v1",
            1,
            {
                "orderId": str(order.id),
                "customerId": str(ann.pk),
                "totalAmount": "54.47",
                "currency": "EUR",
                "items": [{"productId": "WIDGET", "qty": 3}, {"productId": "GADGET", "qty": 1}],
            },
        )
    ]


@pytest.mark.parametrize(("currency", "total"), [("EUR", "19.98"), ("JPY", "3200"), ("KWD", "6.500")])
def test_each_currency_keeps_its_own_digits(published, currency: str, total: str):
    place(customer(), ("WIDGET", 2), currency=currency)
    assert published()[0][2]["totalAmount"] == total


def test_an_unknown_product_leaves_nothing(published):
    with pytest.raises(UnknownProducts) as caught, transaction.atomic():
        place(customer(), ("WIDGET", 1), ("NOTHING", 1))
    assert caught.value.skus == ("NOTHING",)
    assert not Order.objects.exists()
    assert published() == []


def test_a_product_without_a_price_in_the_currency_is_unknown():
    with pytest.raises(UnknownProducts), transaction.atomic():
        place(customer(), ("GADGET", 1), currency="JPY")


def test_an_expected_price_that_is_not_the_catalogues_is_refused():
    item = services.ItemRequest(sku="WIDGET", quantity=1, expected_price_minor=998)
    with pytest.raises(PricesDiffer) as caught, transaction.atomic():
        services.place_order(
            order_id=uuid7(), customer_id=customer().pk, items=[item], currency="EUR", payment_method="tok_ok"
        )
    assert caught.value.differences["WIDGET"] == services.PriceDifference(expected_minor=998, actual_minor=999)
    assert not Order.objects.exists()


def test_a_rollback_leaves_neither_order_nor_message(published):
    """I1: both or neither."""
    with transaction.atomic():
        place(customer())
        assert len(published()) == 1
        transaction.set_rollback(True)
    assert not Order.objects.exists()
    assert not OutboxMessage.objects.exists()


def test_each_end_is_published_once_with_its_sequence(published):
    ann = customer()
    confirmed, rejected, cancelled = (place(ann) for _ in range(3))
    ended = {name: telemetry.ORDERS_ENDED.labels(name)._value.get() for name in ("confirmed", "rejected", "cancelled")}

    for _ in range(2):  # the second time changes nothing
        services.confirm_orders([confirmed.id])
        services.reject_orders({rejected.id: "out_of_stock"})
        services.cancel_orders([cancelled.id])

    assert status(confirmed) == ("confirmed", "", 2, True)
    assert status(rejected) == ("rejected", "out_of_stock", 2, True)
    assert status(cancelled) == ("cancelled", "customer", 2, True)
    facts = {"customerId": str(ann.pk), "totalAmount": "9.99", "currency": "EUR"}
    assert published()[3:] == [
        ("order.confirmed.v1", 2, {"orderId": str(confirmed.id), **facts}),
        ("order.rejected.v1", 2, {"orderId": str(rejected.id), **facts, "reason": "out_of_stock"}),
        ("order.cancelled.v1", 2, {"orderId": str(cancelled.id), **facts}),
    ]
    for name, before in ended.items():
        assert telemetry.ORDERS_ENDED.labels(name)._value.get() == before + 1


@pytest.mark.parametrize(
    "end",
    [
        lambda order: services.confirm_orders([order.id]),
        lambda order: services.reject_orders({order.id: "payment_declined"}),
        lambda order: services.cancel_orders([order.id]),
    ],
)
def test_an_order_that_has_ended_never_changes_again(published, end):
    order = place(customer())
    services.reject_orders({order.id: "out_of_stock"})
    before = Order.objects.values().get()

    assert end(order) == set()

    assert Order.objects.values().get() == before
    assert len(published()) == 2


def test_a_batch_answers_which_orders_it_ended():
    orders = [place(customer()) for _ in range(3)]
    services.cancel_orders([orders[0].id])
    assert services.confirm_orders([order.id for order in orders] + [uuid7()]) == {orders[1].id, orders[2].id}


def test_a_batch_takes_one_update_and_one_insert(published):
    orders = [place(customer()) for _ in range(20)]
    with CaptureQueriesContext(connection) as queries:
        services.reject_orders({order.id: f"reason-{n}" for n, order in enumerate(orders)})
    assert len(queries) == 2
    assert {order.reason for order in Order.objects.all()} == {f"reason-{n}" for n in range(20)}


@pytest.mark.django_db(transaction=True)
def test_of_two_ends_at_once_exactly_one_wins(published):
    """F16: confirm and cancel under the order's own lock."""
    order = place(customer())
    start = threading.Barrier(2)
    won: list[str] = []

    def run(name: str, end) -> None:
        start.wait()
        try:
            if end([order.id]):
                won.append(name)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=("confirmed", services.confirm_orders)),
        threading.Thread(target=run, args=("cancelled", services.cancel_orders)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert status(order)[0] == won[0]
    assert [(kind, sequence) for kind, sequence, _ in published()] == [
        ("order.created.v1", 1),
        (f"order.{won[0]}.v1", 2),
    ]
