"""A compensation that fails: retried, then a person's; never reported as compensated."""

import pytest
from django.db import IntegrityError, connection

from sagas import operations, telemetry
from sagas.exceptions import VerbRefused
from sagas.models import Saga, SagaStep
from tests.support.drive import drive, time_passes
from tests.support.shop import money, open_messages, outcome, parcel, saga_of, step_of, steps, stock

pytestmark = pytest.mark.django_db
UNDONE = ("done", "done")


def failed(shop, mood="unavailable"):
    """An order whose parcel was refused and whose money does not go back."""
    shop.provider.will("create", "refuse")
    shop.provider.always("refund", mood)
    return shop.driven()


class TestNeedsAttention:
    def test_s11_it_is_retried_and_then_needs_attention_and_is_never_called_compensated(self, shop):
        """S11"""
        before = telemetry.COMPENSATION_FAILED.labels("charge_payment")._value.get()
        order = failed(shop)

        assert outcome(order) == ("pending", "", "needs_attention")
        assert steps(order)["charge_payment"] == ("done", "failed")
        assert shop.provider.asked("refund") == 8
        assert step_of(order, "charge_payment").undo_attempts == 8
        saga = saga_of(order)
        assert (saga.ended_at, saga.waiting_for, saga.direction) == (None, None, "backward")
        assert "charge_payment" in saga.last_error
        assert open_messages() == []
        assert telemetry.COMPENSATION_FAILED.labels("charge_payment")._value.get() == before + 1

    def test_i8_the_other_compensations_still_run(self, shop):
        """I8: nothing is called compensated that is not; what can be undone is."""
        order = failed(shop)

        assert steps(order)["reserve_stock"] == UNDONE
        assert (stock(), money(order)) == ((10, 0), ("captured", 999))

    def test_a_refused_refund_needs_a_person_at_once(self, shop):
        order = failed(shop, "refuse")

        assert outcome(order)[2] == "needs_attention"
        assert shop.provider.asked("refund") == 1

    def test_i8_postgres_refuses_a_compensation_of_what_was_not_done(self, shop):
        """I8"""
        order = shop.started(quantity=11)
        drive()

        with pytest.raises(IntegrityError, match="only_a_done_step_is_compensated"):
            SagaStep.objects.filter(saga=saga_of(order)).update(undo_status="done")

    def test_i8_postgres_refuses_to_call_a_forward_saga_compensated(self, shop):
        """I8"""
        order = shop.started()

        with pytest.raises(IntegrityError, match="a_saga_ends_in_the_direction_it_goes"):
            Saga.objects.filter(pk=saga_of(order).pk).update(
                status="compensated", waiting_for=None, ended_at="2025-01-01T00:00:00Z"
            )


class TestPerson:
    """What an operator does about it; each with a second click."""

    def act(self, verb, order, **options):
        return verb(saga_of(order).pk, who=None, reason="the provider is back", **options)

    def test_retry_tries_everything_that_failed_again(self, shop):
        order = failed(shop)
        shop.provider.always("refund", "ok")

        assert self.act(operations.retry, order)
        drive()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert (money(order), len(shop.provider.happened("refund"))) == (("refunded", 0), 1)
        assert not self.act(operations.retry, order)

    def test_a_retry_asks_first(self, shop):
        order = failed(shop)
        shop.provider.always("refund", "ok")
        del shop.provider.calls[:]

        self.act(operations.retry, order)
        drive()

        assert [operation for operation, _ in shop.provider.calls] == ["find_refund", "refund"]

    def test_resume_has_nothing_to_resume_when_a_compensation_has_failed(self, shop):
        order = failed(shop)

        with pytest.raises(VerbRefused, match="charge_payment"):
            self.act(operations.resume, order)
        assert outcome(order)[2] == "needs_attention"

    def test_skip_means_the_compensation_that_failed(self, shop):
        """A person gave the money back by other means."""
        order = failed(shop)
        assert saga_of(order).current_step == "charge_payment"

        assert self.act(operations.skip, order, step="charge_payment")
        drive()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert steps(order) == {
            "reserve_stock": UNDONE,
            "charge_payment": ("done", "skipped"),
            "create_shipment": ("refused", ""),
        }
        assert not self.act(operations.skip, order, step="charge_payment")

    def test_resolve_writes_down_what_a_person_found_out(self, shop):
        order = failed(shop, "lost")

        assert self.act(operations.resolve, order, happened="refund-by-phone")
        drive()

        assert outcome(order)[2] == "compensated"
        assert (money(order), steps(order)["charge_payment"]) == (("refunded", 0), UNDONE)

    def test_two_failed_compensations_are_dealt_with_one_after_the_other(self, shop):
        from orders.cancellation import request_cancel

        shop.provider.always("cancel", "refuse")
        shop.provider.always("refund", "refuse")
        order = shop.up_to("confirm_order")
        request_cancel(order.pk)
        drive()
        assert saga_of(order).current_step == "create_shipment"
        assert steps(order)["reserve_stock"] == UNDONE

        assert self.act(operations.skip, order)
        assert (saga_of(order).current_step, saga_of(order).status) == ("charge_payment", "needs_attention")
        assert self.act(operations.skip, order)
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert parcel(order) == "created"

    def test_i7_no_verb_sends_it_forward_again(self, shop):
        """I7: a saga never goes forward after compensation began."""
        order = failed(shop)

        for verb in (operations.compensate, operations.retry):
            self.act(verb, order)
        time_passes()
        drive()

        assert saga_of(order).direction == "backward"
        assert shop.provider.asked("create") == 1

    def test_i7_postgres_refuses_a_way_forward(self, shop):
        """I7: the trigger."""
        order = failed(shop)

        with pytest.raises(IntegrityError, match="cannot go forward again"), connection.cursor() as cursor:
            cursor.execute("UPDATE sagas_saga SET direction = 'forward' WHERE id = %s", [saga_of(order).pk])
