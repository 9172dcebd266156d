"""I11: every wait ends: in an outcome, or in a person's attention; a provider that is down costs patience only."""

from datetime import timedelta

import pytest
from django.utils import timezone

from outbox import consumer, operations
from outbox.models import OutboxMessage
from sagas import operations as sagas
from sagas import recovery
from sagas.models import Saga
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import message_of, open_messages, outcome, saga_of, step, step_of

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
