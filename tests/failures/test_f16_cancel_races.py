"""F16: a cancel races with every step; exactly one of confirmed and cancelled with the money back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from local.stack import wait_until
from orders.cancellation import request_cancel
from orders.exceptions import OrderAlreadyEnded
from orders.models import Order
from outbox import consumer
from sagas.models import Saga, SagaStep
from sagas.runner import LocalWork
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import START, STEPS, money, outcome, parcel, saga_of, step, steps, stock
from tests.support.threads import at_once, in_thread

from .rest import assert_all_is_well


def cancel(order):
    """The answer of the API: pending, cancelled, or too late."""
    try:
        with transaction.atomic():
            return request_cancel(order.pk)
    except OrderAlreadyEnded:
        return "too late"


def assert_undone(order):
    assert outcome(order) == ("cancelled", "customer", "compensated")
    assert stock() == (10, 0)


@pytest.mark.django_db
class TestAtEveryPoint:
    def test_before_the_saga_exists_the_order_is_cancelled_on_the_spot_and_starts_none(self, shop):
        """F16"""
        order = shop.order()

        assert cancel(order) == "cancelled"
        drive()

        order.refresh_from_db()
        assert (order.status, Saga.objects.count(), shop.provider.calls) == ("cancelled", 0, [])

    @pytest.mark.parametrize("at", STEPS)
    def test_before_each_step(self, shop, at):
        """F16: the runner reads the wish before it starts a step; the pivot refuses when it finds it."""
        order = shop.up_to(at)

        assert cancel(order) == "pending"
        drive()

        assert_undone(order)
        assert at not in steps(order)
        assert shop.provider.order in ([], ["charge", "refund"], ["charge", "create", "cancel", "refund"])
        if at in STEPS[2:]:
            assert money(order) == ("refunded", 0)

    @pytest.mark.parametrize(("operation", "at"), [("charge", "charge_payment"), ("create", "create_shipment")])
    @pytest.mark.parametrize("mood", ["ok", "cut", "lost", "refuse", "unavailable"])
    @pytest.mark.django_db(transaction=True)
    def test_while_a_call_is_under_way(self, shop, operation, at, mood):
        """F16: it never interrupts a call; the outcome is waited for, or asked about, and then undone."""
        order = shop.up_to(at)
        # The customer's own connection, while the call is out: nothing holds the saga's row then.
        shop.provider.before[operation] = lambda: answers.extend(at_once(lambda: cancel(order)))
        answers = []
        shop.provider.will(operation, mood)

        deliver(step(at))
        shop.provider.before.clear()
        drive()

        assert answers == ["pending"]
        order.refresh_from_db()
        assert order.status == ("rejected" if mood == "refuse" else "cancelled")
        assert saga_of(order).status == "compensated"
        assert stock() == (10, 0)
        assert money(order)[1] == 0
        assert shop.provider.asked(operation) == 1

    def test_after_the_pivot_it_is_too_late(self, shop):
        """F16"""
        order = shop.driven()

        assert cancel(order) == "too late"
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert (money(order), parcel(order)) == (("captured", 999), "created")

    def test_a_wish_on_the_way_back_changes_nothing(self, shop):
        """F16"""
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        deliver(step("create_shipment"))

        assert cancel(order) == "pending"
        drive()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert shop.provider.asked("refund") == 1

    def test_a_waiting_step_is_made_due_at_once(self, shop):
        """F16"""
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "unavailable")
        deliver(step("create_shipment"))
        assert deliver(step("create_shipment")) == [0]

        cancel(order)

        assert deliver(step("create_shipment")) == [1]

    def test_a_second_wish_is_the_same_wish(self, shop):
        """F16"""
        order = shop.up_to("charge_payment")
        cancel(order)
        first = saga_of(order).cancel_requested_at

        assert cancel(order) == "pending"

        assert saga_of(order).cancel_requested_at == first


@pytest.mark.django_db(transaction=True)
class TestAgainstThePivot:
    def test_a_cancel_that_holds_the_saga_first_wins(self, shop):
        """F16: the pivot waits for the lock, then finds the wish and turns back."""
        order = shop.up_to("confirm_order")
        with transaction.atomic():
            request_cancel(order.pk)
            pivot = in_thread(lambda: consumer.deliver(step("confirm_order")))
        pivot.result(10)
        time_passes()
        drive()

        assert_undone(order)

    def test_a_pivot_that_holds_the_saga_first_wins(self, shop, monkeypatch):
        """F16: the cancel waits for the lock, then is told that it is too late."""
        order = shop.up_to("confirm_order")
        holds, go_on = threading.Event(), threading.Event()
        save = LocalWork.save

        def hold(work, cases):
            save(work, cases)
            holds.set()
            go_on.wait(10)

        monkeypatch.setattr(LocalWork, "save", hold)
        pivot = in_thread(lambda: consumer.deliver(step("confirm_order")))
        assert holds.wait(10)
        late = in_thread(lambda: cancel(order))
        assert not late.done()
        go_on.set()
        pivot.result(10)

        assert late.result(10) == "too late"
        assert outcome(order) == ("confirmed", "", "completed")

    def test_at_the_same_moment_exactly_one_of_them_happens(self, shop):
        """F16: whoever wins, the answer, the order and the money agree."""
        orders = [shop.up_to("confirm_order") for _ in range(5)]

        def work():
            consumer.deliver(step("confirm_order"))

        answers = at_once(*[lambda order=order: cancel(order) for order in orders], work)[:-1]
        drive()

        for order, answer in zip(orders, answers, strict=True):
            expected = {
                "too late": ("confirmed", "", "completed"),
                "pending": ("cancelled", "customer", "compensated"),
            }
            assert outcome(order) == expected[answer]
            assert money(order)[1] == (999 if answer == "too late" else 0)
        kept = answers.count("too late")
        assert stock() == (10 - kept, 0)
        assert len(shop.provider.happened("refund")) == 5 - kept

    def test_at_the_same_moment_as_the_start_one_sees_the_other(self, shop):
        """F16: a cancel before the saga exists locks the order, as the start does."""
        orders = [shop.order() for _ in range(5)]

        answers = at_once(*[lambda order=order: cancel(order) for order in orders], lambda: deliver(START))[:-1]
        time_passes()
        drive()

        for order in orders:
            order.refresh_from_db()
            assert order.status == "cancelled"
        assert set(answers) <= {"pending", "cancelled"}
        assert (stock(), len(shop.provider.happened("charge"))) == ((10, 0), len(shop.provider.happened("refund")))


@pytest.mark.proof
def test_f16_customers_who_cancel_at_any_moment_over_real_processes(service):
    """F16, I8, I9: each order is confirmed, or cancelled with everything undone, as its customer was told."""
    service.start()

    def order_and_cancel(number):
        order_id = service.place({"sku": "CABLE", "quantity": 1}).json()["id"]
        wait_until_begun(order_id, steps=number % (len(STEPS) + 1))
        return order_id, service.request("POST", f"/orders/{order_id}/cancel").status_code

    with ThreadPoolExecutor(8) as customers:
        told = dict(customers.map(order_and_cancel, range(40)))
    assert_all_is_well(service)

    ends = {str(pk): status for pk, status in Order.objects.values_list("pk", "status")}
    assert set(told.values()) <= {200, 202, 409}
    for order_id, status in told.items():
        assert ends[order_id] == ("confirmed" if status == 409 else "cancelled")
    assert set(ends.values()) == {"confirmed", "cancelled"}, "every cancel came too early, or too late"


def wait_until_begun(order_id, *, steps):
    """Until so many of the order's steps have begun: with none at once, with all of them when it is confirmed."""
    begun = SagaStep.objects.filter(saga__subject_id=order_id)
    try:
        wait_until(lambda: begun.count() >= steps, within_seconds=60, what=f"step {steps} of {order_id}")
    finally:
        connection.close()
