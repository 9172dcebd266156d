"""I11: every wait ends: in an outcome, or in a person's attention; a provider that is down costs patience only."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from outbox import consumer, operations
from outbox.models import Destination, OutboxMessage
from providers import operations as providers
from sagas import operations as sagas
from sagas import recovery
from sagas.models import Saga
from tests.support.drive import deliver, drive, time_passes
from tests.support.provider import limits
from tests.support.shop import attempts, message_of, open_messages, outcome, saga_of, step, step_of

pytestmark = pytest.mark.django_db
CHARGE, SHIP = step("charge_payment"), step("create_shipment")


class TestDeadline:
    def test_i11_past_its_deadline_a_saga_needs_attention_and_is_not_undone_blindly(self, shop):
        """I11"""
        order = shop.up_to("create_shipment")
        assert recovery.attend_overdue() == 0
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))

        assert recovery.attend_overdue() == 1
        assert recovery.attend_overdue() == 0
        drive()

        assert outcome(order) == ("pending", "", "needs_attention")
        assert (saga_of(order).direction, open_messages()) == ("forward", [])
        assert "deadline" in saga_of(order).last_error
        assert shop.provider.order == ["charge"]

    def test_a_runner_at_work_turns_stale_and_what_it_learnt_is_kept(self, shop):
        order = shop.up_to("charge_payment")
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        work = consumer.routing.inside(CHARGE)
        [message] = consumer.claim(work, 1)

        recovery.attend_overdue()
        consumer.handle(work, [message], lambda messages: pytest.fail("it is stale"))

        assert saga_of(order).status == "needs_attention"

    @pytest.mark.parametrize("lost", [False, True])
    def test_i11_one_that_cannot_be_read_holds_up_nobody_else(self, shop, lost):
        """I11: a saga of a version that only newer code knows."""
        newer, other = shop.started(), shop.started()
        Saga.objects.filter(subject_id=newer.pk).update(version=7)
        if lost:
            OutboxMessage.objects.filter(message_id__in=Saga.objects.values("waiting_for")).delete()
            assert (recovery.sweep(), recovery.sweep()) == (1, 0)
            return
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        assert (recovery.attend_overdue(), recovery.attend_overdue()) == (1, 0)
        assert [saga_of(order).status for order in (newer, other)] == ["running", "needs_attention"]

    def test_an_ended_saga_has_no_deadline(self, shop):
        order = shop.driven()
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))

        assert recovery.attend_overdue() == 0
        assert outcome(order)[2] == "completed"


class TestDeadStep:
    def test_i11_a_step_whose_message_is_spent_needs_attention_in_the_same_transaction(self, shop):
        """I11, F9: its process died ten times."""
        order = shop.up_to("create_shipment")
        for _ in range(10):
            consumer.claim(consumer.routing.inside(SHIP), 1)
            time_passes()
        assert deliver(SHIP) == [0]

        assert operations.bury_spent() == 1

        assert outcome(order) == ("pending", "", "needs_attention")
        assert "dead after 10 attempts" in saga_of(order).last_error
        assert saga_of(order).waiting_for is None

        assert sagas.retry(saga_of(order).pk, who=None, reason="fixed")
        drive()
        assert outcome(order) == ("confirmed", "", "completed")

    def test_a_step_that_always_raises_ends_with_a_person_and_its_neighbours_go_on(self, shop, monkeypatch):
        from orders import sagas as definition

        bad, good = shop.started(), shop.started()
        reserve = definition.inventory.reserve

        def raises(requests):
            if bad.pk in requests:
                raise RuntimeError("a mistake of ours")
            return reserve(requests)

        monkeypatch.setattr(definition.inventory, "reserve", raises)
        drive()

        assert outcome(good) == ("confirmed", "", "completed")
        assert outcome(bad) == ("pending", "", "needs_attention")
        assert OutboxMessage.objects.get(state="dead").last_error == "RuntimeError: a mistake of ours"
        assert OutboxMessage.objects.get(state="dead").attempts == 10

    def test_an_answer_nobody_expected_is_no_outcome(self, shop):
        """A gateway's own mistake: the message is tried again, asks first, and loses nothing."""
        order = shop.up_to("charge_payment")
        shop.provider.before["charge"] = lambda: {}["a bug"]
        deliver(CHARGE)
        assert step_of(order, "charge_payment").status == "running"
        assert message_of(order).last_error.startswith("KeyError")

        shop.provider.before.clear()
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert shop.provider.asked("find_charge") == 1


class TestProviderDown:
    """F12: sagas wait, do not spin; the breaker opens; no attempt is burnt; all resolve."""

    def test_f12_an_open_breaker_starts_no_call_and_counts_no_attempt(self, shop):
        """F12"""
        order = shop.up_to("charge_payment")
        providers.open_breaker("payments", seconds=60, reason="maintenance")

        for _ in range(5):
            assert deliver(CHARGE) == [0]

        assert (shop.provider.calls, attempts(order)) == ([], {"reserve_stock": 1})
        assert message_of(order).attempts == 0
        pause = Destination.objects.get(name=CHARGE)
        # It looks again after a while: the breaker may be closed by hand.
        assert timezone.now() < pause.paused_until <= timezone.now() + timedelta(seconds=5)

        providers.close_breaker("payments", reason="done")
        limits_anew()
        drive()
        assert outcome(order) == ("confirmed", "", "completed")

    def test_f12_failures_in_a_row_open_the_breaker_and_give_their_attempts_back(self, shop, settings):
        """F12: nothing spins: one round of calls, then silence until the trial."""
        limits(settings, BREAKER_FAILURES=3, BREAKER_OPEN_SECONDS=60.0, IN_FLIGHT_HORIZON_SECONDS=0.0)
        orders = [shop.up_to("create_shipment") for _ in range(5)]
        shop.provider.always("create", "unavailable")

        for _ in range(10):
            deliver(SHIP)
            time_passes()

        assert shop.provider.asked("create") == 5
        assert {step_of(order, "create_shipment").attempts for order in orders} == {0}
        assert {outcome(order)[2] for order in orders} == {"running"}

    def test_f12_after_the_pause_one_trial_decides_and_all_resolve(self, shop, settings):
        """F12: no herd on healing."""
        limits(settings, BREAKER_FAILURES=3, BREAKER_OPEN_SECONDS=60.0, IN_FLIGHT_HORIZON_SECONDS=0.0)
        orders = [shop.up_to("create_shipment") for _ in range(5)]
        shop.provider.always("create", "unavailable")
        deliver(SHIP)
        shop.provider.always("create", "ok")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE providers_breaker SET retry_at = now() - interval '1 second'")
        limits_anew()
        time_passes()
        seen = len(shop.provider.calls)
        running = []
        shop.provider.before["find"] = lambda: running.append(len(shop.provider.calls) - seen)

        drive()

        assert running[0] == 1
        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}
        assert len(shop.provider.happened("create")) == 5

    def test_f12_one_provider_down_leaves_the_other_alone(self, shop):
        """F12: queue, slots and breaker are per provider."""
        providers.open_breaker("shipping", seconds=60, reason="maintenance")
        order = shop.order()
        for _ in range(4):
            deliver("orders.start_fulfilment", step("reserve_stock"), CHARGE, SHIP)

        assert saga_of(order).current_step == "create_shipment"
        assert shop.provider.order == ["charge"]


def limits_anew():
    """A gate keeps its reading of the breaker for a quarter of a second."""
    from providers import gate

    gate.gate.cache_clear()
