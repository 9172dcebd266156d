"""A saga's removal, long after its end and never while it lives; and a late success that meets it."""

import threading
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from orders.cancellation import request_cancel
from orders.models import Order
from outbox.models import OutboxMessage
from payments import services as payments
from payments.models import Payment
from sagas import lifecycle, recovery
from sagas.models import Saga, SagaStep
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import money, outcome, saga_of, step, steps
from tests.support.threads import in_thread

pytestmark = pytest.mark.django_db
CHARGE, REFUND = step("charge_payment"), step("charge_payment", undo=True)
LATE = "orders.undo_late_charge"


def given_up(shop):
    """An order that was cancelled; its charge could not be found, and was settled as absent."""
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    deliver(CHARGE)
    request_cancel(order.pk)
    drive()
    assert outcome(order) == ("cancelled", "customer", "compensated")
    return order


def refused(shop):
    """An order whose charge could not be made, was not found, and was given up."""
    shop.provider.always("charge", "lost")
    order = shop.up_to("charge_payment")
    for _ in range(8):
        deliver(CHARGE)
        time_passes()
    SagaStep.objects.filter(name="charge_payment").update(attempts=8)
    drive()
    assert outcome(order) == ("rejected", "payment_unavailable", "compensated")
    shop.provider.always("charge", "ok")
    return order


def charged_late(shop, order):
    """The charge took effect after all, and a webhook led to it."""
    payment = Payment.objects.get(order_id=order.pk)
    intent = payments.intents_of([payment.pk])[payment.pk]
    receipt = shop.provider.charge(intent)
    with transaction.atomic():
        payments.record_charges([(intent, receipt)])


def attended(shop):
    order = shop.up_to("create_shipment")
    Saga.objects.filter(subject_id=order.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert recovery.attend_overdue() == 1
    return order


def postpone():
    """What waits is due in an hour, whatever the jitter said."""
    OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + timedelta(hours=1))


class TestCancel:
    def test_a_cancel_again_and_again_leaves_the_waits_of_a_compensation_alone(self, shop):
        order = shop.up_to("create_shipment")
        shop.provider.always("create", "refuse")
        shop.provider.always("refund", "unavailable")
        deliver(step("create_shipment"), REFUND)
        postpone()

        for _ in range(12):
            request_cancel(order.pk)
            assert deliver(REFUND) == [0]

        assert (steps(order)["charge_payment"], shop.provider.asked("refund")) == (("done", "retrying"), 1)

    def test_only_the_first_wish_makes_a_waiting_step_due(self, shop):
        order = shop.up_to("charge_payment")
        shop.provider.always("charge", "lost")
        shop.provider.always("find_charge", "lost")
        deliver(CHARGE)

        taken = []
        for _ in range(3):
            postpone()
            request_cancel(order.pk)
            taken += deliver(CHARGE)

        assert taken == [1, 0, 0]


class TestLateSuccess:
    def test_f13_a_revived_saga_has_time_to_undo_what_came_late(self, shop):
        """F13: not handed to a person by the deadline of its first life."""
        order = given_up(shop)
        Saga.objects.update(deadline_at=timezone.now() - timedelta(hours=1))

        charged_late(shop, order)
        deliver(LATE)
        assert recovery.attend_overdue() == 0
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert money(order) == ("refunded", 0)

    @pytest.mark.parametrize("customer_cancels", [True, False])
    def test_f13_a_purged_saga_is_written_anew_to_undo_what_came_late(self, shop, customer_cancels):
        """F13, I3: under the id, and so the keys, that it had."""
        order = given_up(shop) if customer_cancels else refused(shop)
        ended, saga_id = outcome(order), saga_of(order).pk
        Saga.objects.filter(subject_id=order.pk).delete()

        charged_late(shop, order)
        drive()

        assert (outcome(order), saga_of(order).pk) == (ended, saga_id)
        assert money(order) == ("refunded", 0)
        assert shop.provider.happened("refund") == [f"{saga_id}:charge_payment.undo"]
        assert steps(order) == {"charge_payment": ("done", "done")}

    def test_i4_a_late_charge_that_nobody_can_undo_is_dead_and_visible(self, shop):
        """I4: and costs the others of its batch nothing."""
        order, other = given_up(shop), given_up(shop)
        Saga.objects.filter(subject_id=order.pk).delete()
        Order.objects.filter(pk=order.pk).update(status="confirmed", reason="", cancel_requested_at=None)

        charged_late(shop, order)
        charged_late(shop, other)
        drive()

        dead = OutboxMessage.objects.get(state="dead")
        assert (dead.destination, dead.attempts) == (LATE, 2)
        assert str(order.pk) in dead.last_error
        assert (money(order), money(other)) == (("late", 999), ("refunded", 0))


class TestPurge:
    def test_i14_only_sagas_that_have_ended_long_ago_go(self, shop):
        """I14: nothing unfinished, nothing younger than its retention."""
        old, young = shop.driven(), shop.driven()
        stuck, running = attended(shop), shop.started()
        Saga.objects.exclude(subject_id=young.pk).update(started_at=timezone.now() - timedelta(days=30))
        Saga.objects.filter(subject_id=old.pk).update(ended_at=timezone.now() - timedelta(days=8))

        assert lifecycle.purge(dry_run=True) == 1
        assert lifecycle.purge(batch_size=1) == 1
        assert lifecycle.purge() == 0

        left = set(Saga.objects.values_list("subject_id", flat=True))
        assert left == {young.pk, running.pk, stuck.pk}
        assert not SagaStep.objects.filter(saga__subject_id=old.pk).exists()

    @pytest.mark.django_db(transaction=True)
    def test_i14_a_saga_that_a_late_success_revives_meanwhile_stays(self, shop, monkeypatch):
        """I14: the purge meets the row between the revival and its commit."""
        order = given_up(shop)
        Saga.objects.update(ended_at=timezone.now() - timedelta(days=8))
        charged_late(shop, order)
        revived, purged = threading.Event(), threading.Event()
        adopt = lifecycle.journal.save

        def save(cases):
            adopt(cases)
            revived.set()
            assert purged.wait(20)

        monkeypatch.setattr("sagas.late.journal.save", save)
        late = in_thread(lambda: deliver(LATE))
        assert revived.wait(20)

        assert lifecycle.purge() == 0
        purged.set()
        late.result(20)
        assert lifecycle.purge() == 0
        monkeypatch.undo()
        drive()

        assert money(order) == ("refunded", 0)
        assert steps(order)["charge_payment"] == ("done", "done")

    def test_i14_a_host_whose_clock_runs_ahead_purges_nothing(self, shop, monkeypatch):
        """I14: the age of a saga is the database's business."""
        order = shop.driven()
        real = timezone.now
        monkeypatch.setattr("django.utils.timezone.now", lambda: real() + timedelta(days=30))

        assert lifecycle.purge() == 0
        assert saga_of(order).status == "completed"
