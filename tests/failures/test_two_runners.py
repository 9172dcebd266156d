"""Two runners, a sweep beside them, a claim that was taken over: one of them decides, the facts stay facts."""

import threading
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, transaction

from outbox import consumer, operations, remote, routing, telemetry
from outbox.models import OutboxMessage
from payments import services as payments
from sagas import decisions, journal, recovery, runner
from sagas import definition as definition_of
from sagas.exceptions import StaleSaga
from sagas.models import Saga
from sagas.telemetry import RECOVERED
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import (
    attempts,
    message_of,
    money,
    open_messages,
    outcome,
    saga_of,
    step,
    steps,
    stock,
)
from tests.support.threads import at_once, in_thread, until_somebody_waits

CHARGE = step("charge_payment")


class ClaimsOnce:
    """A gate that admits one claim and then no more: its process is frozen in the calls that follow."""

    def __init__(self, gate):
        self.gate = gate
        self.asked = False

    def admit(self, wanted):
        again, self.asked = self.asked, True
        return 0 if again else self.gate.admit(wanted)

    def __getattr__(self, name):
        return getattr(self.gate, name)


def elsewhere(name):
    """Delivers like another process, once: within one process, only one run of a destination claims at a time."""
    steps = [(definition, one) for definition in definition_of.versions("fulfil_order") for one in definition.steps]
    works = {work.destination: work for definition, one in steps for work in runner.works_of(definition, one)}
    work = works[name]
    once = SimpleNamespace(gate=lambda: ClaimsOnce(work.gate()), note=work.note, record=work.record)
    return remote.remote(once)(routing.inside(name))


@pytest.mark.django_db
class TestGuards:
    def test_s12_a_saga_that_moved_on_is_not_overwritten(self, shop):
        """S12: saving is one guarded update that must touch every row it was computed for."""
        order = shop.started()
        case = journal.load_for_verb(saga_of(order).pk)
        deliver(step("reserve_stock"))
        decisions.turn(case, "late")

        with pytest.raises(StaleSaga), transaction.atomic():
            journal.save([case])

        assert (saga_of(order).direction, saga_of(order).current_step) == ("forward", "charge_payment")
        assert steps(order) == {"reserve_stock": ("done", "")}

    def test_s12_one_stale_saga_undoes_the_whole_batchs_writes(self, shop):
        """S12"""
        orders = [shop.started(), shop.started()]
        cases = [journal.load_for_verb(saga_of(order).pk) for order in orders]
        deliver(step("reserve_stock"))
        for case in cases:
            decisions.turn(case, "late")

        with pytest.raises(StaleSaga), transaction.atomic():
            journal.save(cases)

        assert set(Saga.objects.values_list("direction", flat=True)) == {"forward"}

    def test_i6_a_running_saga_waits_for_one_message(self, shop):
        """I6: Postgres refuses a live saga that waits for nothing, and one that waits after its end."""
        order = shop.started()

        with pytest.raises(IntegrityError, match="a_running_saga_waits_for_one_message"), transaction.atomic():
            Saga.objects.filter(pk=saga_of(order).pk).update(waiting_for=None)
        with pytest.raises(IntegrityError, match="a_running_saga_waits_for_one_message"):
            Saga.objects.filter(pk=saga_of(order).pk).update(status="needs_attention")

    def test_a_subject_has_one_saga_per_name(self, shop):
        order = shop.started()
        twin = saga_of(order)
        twin.pk = order.pk

        with pytest.raises(IntegrityError, match="one_saga_per_name_and_subject"):
            twin.save(force_insert=True)

    def test_i6_a_message_that_its_saga_no_longer_waits_for_changes_nothing(self, shop):
        """I6: late, doubled, or replaced by an operator's verb."""
        order = shop.up_to("charge_payment")
        old = OutboxMessage.objects.get(destination=step("reserve_stock"))
        operations.InboxMessage.objects.all().delete()
        OutboxMessage.objects.filter(pk=old.pk).update(state="skipped", finished_at=old.finished_at)
        waiting = message_of(order)
        OutboxMessage.objects.filter(pk=waiting.pk).update(state="done", finished_at=old.finished_at)
        OutboxMessage.objects.filter(pk=old.pk).update(state="open", finished_at=None, due_at="2020-01-01T00:00:00Z")

        deliver(step("reserve_stock"))

        assert attempts(order) == {"reserve_stock": 1}
        assert stock() == (10, 1)
        assert saga_of(order).waiting_for == waiting.message_id


@pytest.mark.django_db
class TestSweep:
    def lose_message(self, order):
        OutboxMessage.objects.filter(message_id=saga_of(order).waiting_for).delete()

    def test_s13_a_saga_without_an_open_message_is_found_and_resumed(self, shop):
        """S13: without anyone knowing its id."""
        order = shop.up_to("create_shipment")
        self.lose_message(order)
        drive()
        assert outcome(order)[0] == "pending"
        before = RECOVERED._value.get()

        assert recovery.sweep() == 1
        assert recovery.sweep() == 0
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert attempts(order)["charge_payment"] == 1
        assert RECOVERED._value.get() == before + 1

    def test_s13_s9_it_resumes_in_the_direction_it_went(self, shop):
        """S13, S9"""
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        deliver(step("create_shipment"))
        self.lose_message(order)

        recovery.sweep()
        assert open_messages().count(step("charge_payment", undo=True)) == 1
        drive()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")

    def test_s13_a_crash_needs_no_sweep_at_all(self, shop):
        """S13: the claim runs out, and the sweep finds nothing to mend."""
        order = shop.started()
        consumer.claim(consumer.routing.inside(step("reserve_stock")), 10)

        assert recovery.sweep() == 0
        time_passes()
        drive()

        assert outcome(order)[0] == "confirmed"


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_s19_recovery_beside_live_workers_never_runs_a_saga_twice(self, shop):
        """S19: sweeps and doubled rings while workers are at it."""
        orders = [shop.order() for _ in range(6)]
        ended = threading.Event()

        def sweep():
            swept = 0
            while not ended.is_set():
                swept += recovery.sweep() + operations.park() + operations.bury_spent()
            return swept

        def work():
            for _ in range(200):
                if not OutboxMessage.objects.filter(state="open").exists():
                    break
                for name in sorted(set(OutboxMessage.objects.values_list("destination", flat=True))):
                    consumer.deliver(name)

        sweeper = in_thread(sweep)
        try:
            at_once(work, work)
        finally:
            ended.set()

        assert sweeper.result(10) == 0
        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}
        for order in orders:
            assert set(attempts(order).values()) == {1}
        assert (shop.provider.asked("charge"), shop.provider.asked("create")) == (6, 6)
        assert (shop.provider.asked("find_charge"), stock()) == (0, (4, 0))

    def test_i6_a_stale_runner_writes_the_fact_and_nothing_else(self, shop):
        """I6, I3: frozen past its claim while another took over; what the provider answered is written all the same."""
        order = shop.up_to("charge_payment")
        asked, go_on = threading.Event(), threading.Event()

        def freeze():
            asked.set()
            go_on.wait(30)

        shop.provider.before["charge"] = freeze
        stale = telemetry.STALE_CLAIMS.labels(CHARGE)
        before = stale._value.get()
        frozen = in_thread(lambda: elsewhere(CHARGE))
        assert asked.wait(10)
        # Another worker finds the claim run out, asks, and is answered "absent"; its own call waits with the first.
        shop.provider.before["charge"] = lambda: None
        time_passes()
        consumer.deliver(CHARGE)
        assert saga_of(order).current_step == "create_shipment"
        waiting = saga_of(order).waiting_for

        go_on.set()
        frozen.result(10)

        assert saga_of(order).waiting_for == waiting
        assert attempts(order)["charge_payment"] == 2
        assert stale._value.get() == before + 1
        assert (money(order), len(shop.provider.happened("charge"))) == (("captured", 999), 1)
        drive()
        assert outcome(order) == ("confirmed", "", "completed")

    def test_s12_a_stale_runner_and_the_current_one_never_wait_for_each_other(self, shop, monkeypatch):
        """S12: both lock the saga before the payment, so the stale one waits and nobody is a deadlock's victim."""
        order = shop.up_to("charge_payment")
        asked, go_on = threading.Event(), threading.Event()
        shop.provider.before["charge"] = lambda: (asked.set(), go_on.wait(30))
        frozen = in_thread(lambda: elsewhere(CHARGE))
        assert asked.wait(10)
        shop.provider.before["charge"] = lambda: None
        record, current = payments.record_charges, threading.current_thread()
        failed = []

        def record_when_the_other_waits(answers):
            if threading.current_thread() is current:
                go_on.set()
                until_somebody_waits()
            record(answers)

        monkeypatch.setattr("orders.sagas.payments.record_charges", record_when_the_other_waits)
        monkeypatch.setattr("outbox.remote.failure.record", lambda *failure: failed.append(failure))
        time_passes()
        consumer.deliver(CHARGE)
        frozen.result(20)

        assert failed == []
        assert (money(order), saga_of(order).current_step) == (("captured", 999), "create_shipment")

    def test_f13_a_late_success_of_a_step_that_was_given_up_is_adopted_and_undone(self, shop):
        """F13: the saga has ended without the charge; the frozen call comes back with one. Net zero."""
        from orders.cancellation import request_cancel

        order = shop.up_to("charge_payment")
        asked, go_on = threading.Event(), threading.Event()

        def freeze():
            asked.set()
            go_on.wait(30)

        shop.provider.before["charge"] = freeze
        frozen = in_thread(lambda: elsewhere(CHARGE))
        assert asked.wait(10)
        request_cancel(order.pk)
        time_passes()
        drive()
        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert (money(order), steps(order)["charge_payment"]) == (("absent", 0), ("absent", ""))

        go_on.set()
        frozen.result(10)
        assert money(order) == ("late", 999)
        assert saga_of(order).status == "running"
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert steps(order)["charge_payment"] == ("done", "done")
        assert (money(order), shop.provider.order, stock()) == (("refunded", 0), ["charge", "refund"], (10, 0))


@pytest.mark.django_db
def test_f13_a_late_charge_that_a_webhook_finds_is_undone(shop):
    """F13: nobody's call came back, but the provider told."""
    from orders.cancellation import request_cancel
    from payments.models import Payment

    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    deliver(CHARGE)
    request_cancel(order.pk)
    drive()
    assert (money(order), outcome(order)[0]) == (("absent", 0), "cancelled")

    intent = payments.intents_of([Payment.objects.get().pk])[Payment.objects.get().pk]
    receipt = shop.provider.charge(intent)
    with transaction.atomic():
        payments.record_charges([(intent, receipt)])
    assert money(order) == ("late", 999)
    drive()

    assert outcome(order) == ("cancelled", "customer", "compensated")
    assert (money(order), shop.provider.order) == (("refunded", 0), ["charge", "refund"])
