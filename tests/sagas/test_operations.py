"""The operators' verbs in every state that allows them, with a second click"""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from orders.cancellation import request_cancel
from outbox import pause
from outbox.models import OperatorAct, OutboxMessage
from sagas import operations, recovery
from sagas.exceptions import VerbRefused
from sagas.models import Saga, SagaStep
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import message_of, money, open_messages, outcome, saga_of, step, step_of, steps, stock

pytestmark = pytest.mark.django_db
CHARGE = step("charge_payment")


@pytest.fixture
def act(db):
    person = User.objects.create(username="operator")

    def do(verb, order, **options):
        return getattr(operations, verb)(saga_of(order).pk, who=person, reason="asked to", **options)

    return do


def acts():
    return list(OperatorAct.objects.order_by("id").values_list("verb", flat=True))


def unknown(shop):
    """An order whose charge nobody can find out about."""
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    shop.provider.always("find_charge", "lost")
    deliver(CHARGE)
    return order


def attended(shop):
    """An order that needs attention on its way forward: its deadline has passed."""
    order = shop.up_to("create_shipment")
    Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert recovery.attend_overdue() == 1
    return order


class TestOverdue:
    def test_its_error_tells_what_the_step_last_said(self, shop):
        shop.provider.always("create", "unavailable")
        order = shop.up_to("create_shipment")
        deliver(step("create_shipment"))
        said = step_of(order, "create_shipment").error
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        assert recovery.attend_overdue() == 1

        assert said
        assert saga_of(order).last_error == f"create_shipment: not finished by the saga's deadline ({said})"

    def test_of_a_step_that_said_nothing_it_tells_the_deadline_alone(self, shop):
        assert saga_of(attended(shop)).last_error == "create_shipment: not finished by the saga's deadline"

    def test_one_that_never_got_to_ask_says_what_kept_it(self, shop):
        order = shop.up_to("create_shipment")
        for step_name, reason in (("create_shipment", "breaker open"), ("charge_payment", "another's")):
            pause.pause(f"fulfil_order.{step_name}", until=timezone.now() + timedelta(minutes=1), reason=reason)
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        assert recovery.attend_overdue() == 1

        assert saga_of(order).last_error == "create_shipment: not finished by the saga's deadline (breaker open)"


class TestRetryAndResume:
    def test_retry_makes_a_waiting_step_due_once(self, shop, act):
        order = unknown(shop)

        assert act("retry", order)
        assert not act("retry", order)

        assert acts() == ["retry"]
        assert message_of(order).due_at <= timezone.now()

    def test_a_retry_of_a_step_that_never_ran_does_not_say_that_it_runs(self, shop, act):
        """Its saga was overdue before its first step, is retried, and turns before that step runs."""
        order = shop.started()
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        assert recovery.attend_overdue() == 1

        assert act("retry", order)
        assert steps(order) == {}
        request_cancel(order.pk)
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert steps(order) == {}

    def test_retry_gives_a_waiting_step_all_its_attempts_and_all_its_time(self, shop, act):
        order = shop.up_to("charge_payment")
        shop.provider.always("charge", "unavailable")
        for _ in range(7):
            deliver(CHARGE)
            time_passes()
        OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + timedelta(hours=1))
        assert step_of(order, "charge_payment").attempts == 7

        assert act("retry", order)
        row = step_of(order, "charge_payment")
        assert (row.attempts, row.started_at) == (0, None)
        deliver(CHARGE)

        assert steps(order)["charge_payment"] == ("retrying", "")
        assert step_of(order, "charge_payment").attempts == 1

    @pytest.mark.parametrize("verb", ["retry", "resume"])
    def test_a_saga_that_needs_attention_goes_on_where_it_stopped(self, shop, act, verb):
        order = attended(shop)
        assert open_messages() == []

        assert act(verb, order)
        assert not act("resume", order)
        assert saga_of(order).deadline_at > timezone.now() + timedelta(hours=23)
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert shop.provider.order == ["charge", "create"]
        assert acts() == [verb]

    def test_resume_leaves_a_running_saga_alone(self, shop, act):
        order = shop.started()

        assert not act("resume", order)
        assert acts() == []

    def test_every_verb_leaves_an_ended_saga_alone(self, shop, act):
        order = shop.driven()

        for verb in ("retry", "resume", "skip", "compensate", "cancel"):
            assert not act(verb, order)
        assert not act("resolve", order, happened=None)
        assert (acts(), open_messages()) == ([], [])

    def test_a_saga_that_is_not_there_is_refused(self, shop):
        order = shop.order()

        with pytest.raises(VerbRefused):
            operations.retry(order.pk, who=None, reason="x")


class TestSkip:
    def test_a_step_that_needs_no_doing_is_passed_over(self, shop, act):
        order = shop.up_to("create_shipment")

        assert act("skip", order, step="create_shipment")
        assert not act("skip", order, step="create_shipment")
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert steps(order)["create_shipment"] == ("skipped", "")
        assert (shop.provider.order, acts()) == (["charge"], ["skip"])

    def test_the_pivot_is_never_skipped(self, shop, act):
        order = shop.up_to("confirm_order")

        with pytest.raises(VerbRefused, match="pivot"):
            act("skip", order)
        assert acts() == []

    def test_i13_a_step_that_may_have_happened_is_never_skipped(self, shop, act):
        """I13"""
        order = unknown(shop)

        with pytest.raises(VerbRefused, match="resolve"):
            act("skip", order)
        assert len(open_messages()) == 1


class TestCompensateAndCancel:
    def test_compensate_turns_a_running_saga(self, shop, act):
        order = shop.up_to("create_shipment")

        assert act("compensate", order)
        assert not act("compensate", order)
        drive()

        assert outcome(order) == ("rejected", "operator", "compensated")
        assert (money(order), stock(), shop.provider.asked("create")) == (("refunded", 0), (10, 0), 0)
        assert acts() == ["compensate"]

    def test_compensate_turns_one_that_needs_attention(self, shop, act):
        order = attended(shop)

        assert act("compensate", order)
        drive()

        assert outcome(order) == ("rejected", "operator", "compensated")
        assert shop.provider.order == ["charge", "refund"]

    def test_an_order_that_its_customer_had_cancelled_before_ends_cancelled(self, shop, act):
        order = attended(shop)
        request_cancel(order.pk)

        assert act("compensate", order)
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")

    def test_a_cancel_after_an_operators_compensate_changes_nothing(self, shop, act):
        order = shop.up_to("create_shipment")
        act("compensate", order)

        request_cancel(order.pk)
        drive()

        assert outcome(order) == ("rejected", "operator", "compensated")

    def test_i13_compensate_asks_first_about_what_is_unknown(self, shop, act):
        """I13"""
        order = unknown(shop)
        assert act("compensate", order)
        deliver(CHARGE)
        assert saga_of(order).direction == "forward"

        shop.provider.always("find_charge", "ok")
        drive()

        assert outcome(order) == ("rejected", "operator", "compensated")
        assert (steps(order)["charge_payment"], shop.provider.asked("charge")) == (("absent", ""), 1)

    def test_cancel_is_what_a_customer_would_do(self, shop, act):
        order = shop.up_to("charge_payment")

        assert act("cancel", order)
        assert not act("cancel", order)
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert (shop.provider.calls, acts()) == ([], ["cancel"])

    @pytest.mark.parametrize("verb", ["compensate", "cancel"])
    def test_past_the_pivot_there_is_no_way_back(self, shop, act, verb):
        order = shop.up_to("confirm_order")
        saga = saga_of(order)
        SagaStep.objects.create(saga=saga, name="confirm_order", position=3, status="done")

        with pytest.raises(VerbRefused):
            act(verb, order)


class TestResolve:
    def test_it_happened(self, shop, act):
        order = unknown(shop)

        assert act("resolve", order, happened="charge-by-phone")
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert money(order) == ("captured", 999)
        assert step_of(order, "charge_payment").output["provider_reference"] == "charge-by-phone"
        assert shop.provider.asked("charge") == 1

    def test_it_never_happened(self, shop, act):
        order = unknown(shop)

        assert act("resolve", order, happened=None)
        drive()

        assert outcome(order) == ("rejected", "payment_unavailable", "compensated")
        assert (money(order), stock()) == (("absent", 0), (10, 0))

    def test_a_second_click_finds_nothing_unknown(self, shop, act):
        order = unknown(shop)
        act("resolve", order, happened="r")

        with pytest.raises(VerbRefused):
            act("resolve", order, happened="r")
        assert acts() == ["resolve"]

    def test_a_reference_that_stands_for_something_else_is_refused_and_nothing_changes(self, shop, act):
        first, second = unknown(shop), unknown(shop)
        act("resolve", first, happened="ch_1")

        with pytest.raises(VerbRefused, match="already on record"):
            act("resolve", second, happened="ch_1")

        assert step_of(second, "charge_payment").status == "unknown"
        assert acts() == ["resolve"]

    def test_i6_a_runner_that_was_at_it_turns_stale(self, shop, act):
        """I6: the verb replaces the message."""
        from outbox import consumer

        order = unknown(shop)
        time_passes()
        [claimed] = consumer.claim(consumer.routing.inside(CHARGE), 1)

        act("resolve", order, happened="r")

        assert OutboxMessage.objects.all().finish([claimed]) == []
        assert saga_of(order).current_step == "create_shipment"
