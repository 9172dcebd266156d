"""A compensation that fails: retried, then a person's; never reported as compensated."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from notifications import texts
from notifications.models import Notification
from outbox.models import OutboxMessage
from sagas import operations, recovery, telemetry
from sagas.exceptions import VerbRefused
from sagas.models import Saga, SagaStep
from tests.support.drive import deliver, drive, time_passes
from tests.support.provider import limits
from tests.support.shop import money, open_messages, outcome, parcel, saga_of, step, step_of, steps, stock

pytestmark = pytest.mark.django_db
UNDONE = ("done", "done")
REFUND = step("charge_payment", undo=True)


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

    def test_a_refusal_that_the_provider_remembers_is_asked_for_anew_under_the_next_key(self, shop):
        """A provider answers one key in one way for ever."""
        order = failed(shop, "refuse")
        first = f"{saga_of(order).pk}:charge_payment.undo"
        shop.provider.remembers_refusal("refund", first)
        shop.provider.always("refund", "ok")

        assert self.act(operations.retry, order)
        drive()

        assert outcome(order)[2] == "compensated"
        assert shop.provider.happened("refund") == [f"{first}:2"]
        assert (money(order), steps(order)["charge_payment"]) == (("refunded", 0), UNDONE)

    def test_i13_no_next_key_while_the_refused_call_may_still_be_in_flight(self, shop, settings):
        """I13: both could take effect."""
        order = failed(shop, "refuse")
        limits(settings, IN_FLIGHT_HORIZON_SECONDS=60.0)

        with pytest.raises(VerbRefused, match="in flight"):
            self.act(operations.retry, order)

        assert (steps(order)["charge_payment"], open_messages()) == (("done", "failed"), [])

    def test_i13_what_was_never_refused_keeps_its_key(self, shop):
        """I13: eight attempts of which nobody knows whether one will still land."""
        order = failed(shop, "lost")
        shop.provider.always("refund", "ok")

        self.act(operations.retry, order)
        drive()

        assert {key for operation, key in shop.provider.calls if "refund" in operation} == {
            f"{saga_of(order).pk}:charge_payment.undo"
        }

    def test_retry_gives_back_the_attempts_of_a_compensation_that_has_not_failed_yet(self, shop):
        """Its deadline came before its last attempt."""
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        shop.provider.always("refund", "unavailable")
        deliver(step("create_shipment"))
        for _ in range(7):
            deliver(REFUND)
            time_passes()
        Saga.objects.update(deadline_at=timezone.now() - timedelta(hours=1))
        recovery.attend_overdue()
        assert step_of(order, "charge_payment").undo_attempts == 7

        self.act(operations.retry, order)
        deliver(REFUND)

        assert steps(order)["charge_payment"] == ("done", "retrying")
        assert step_of(order, "charge_payment").undo_attempts == 1

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

    def test_i8_a_saga_whose_compensation_was_skipped_says_so_to_its_end(self, shop):
        """I8: and nobody is told that the money went back."""
        order = failed(shop)

        self.act(operations.skip, order)
        drive()

        assert saga_of(order).last_error == "charge_payment: not undone, an operator skipped it"
        assert money(order) == ("captured", 999)
        assert not OutboxMessage.objects.filter(type="order.refunded.v1").exists()
        notice = Notification.objects.get(order_id=order.pk)
        body = texts.notice(notice, address="ann@example.org").body
        assert "not been charged" not in body
        assert "refunded" not in body

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
