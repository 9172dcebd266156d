"""A process that dies between two durable acts of a saga: the claim runs out, and only what is missing is done."""

import pytest

from outbox import telemetry as outbox_telemetry
from sagas import telemetry as saga_telemetry
from sagas.models import Saga
from sagas.runner import LocalWork, RemoteStepWork
from tests.support.crash import Crash, crash_after, crash_before
from tests.support.drive import deliver, drive, time_passes
from tests.support.provider import limits
from tests.support.shop import attempts, money, open_messages, outcome, parcel, saga_of, step, step_of, steps, stock

pytestmark = pytest.mark.django_db
CHARGE = step("charge_payment")
UNDONE = ("done", "done")


def resolved_as(became):
    return saga_telemetry.UNKNOWN_RESOLVED.labels("charge_payment", became)._value.get()


def dies(*names):
    with pytest.raises(Crash):
        deliver(*names)


class TestForward:
    def test_s20_after_a_crash_past_step_two_only_step_three_runs(self, shop, monkeypatch):
        """S20: what was done is not done again."""
        order = shop.up_to("create_shipment")
        monkeypatch.setattr(RemoteStepWork, "record", crash_before(RemoteStepWork.record))
        dies(step("create_shipment"))
        assert steps(order)["create_shipment"] == ("running", "")

        time_passes()
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert attempts(order) == {"reserve_stock": 1, "charge_payment": 1, "create_shipment": 2, "confirm_order": 1}
        assert shop.provider.asked("charge") == 1
        assert (money(order), stock()) == (("captured", 999), (9, 0))

    def test_a_crash_before_the_commit_of_a_local_step_leaves_nothing_of_it(self, shop, monkeypatch):
        order = shop.started()
        monkeypatch.setattr(LocalWork, "save", crash_after(LocalWork.save))
        dies(step("reserve_stock"))
        assert (steps(order), stock()) == ({}, (10, 0))

        time_passes()
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert (stock(), attempts(order)["reserve_stock"]) == ((9, 0), 1)

    def test_a_crash_after_the_intent_and_before_the_call_asks_first(self, shop, monkeypatch):
        """The intent is on record, so the next attempt knows that it is not the first."""
        order = shop.up_to("charge_payment")
        monkeypatch.setattr("providers.gate.Gate.submit", crash_before(lambda *_: None))
        dies(CHARGE)
        assert shop.provider.calls == []
        assert step_of(order, "charge_payment").called_at is not None
        monkeypatch.undo()
        monkeypatch.setattr("outbox.bell._send", lambda destination: True)

        time_passes()
        deliver(CHARGE)

        assert [operation for operation, _ in shop.provider.calls] == ["find_charge", "charge"]
        assert money(order) == ("captured", 999)

    def test_i3_a_crash_after_the_call_charges_once(self, shop, monkeypatch):
        """I3: the provider did it, nobody wrote it down: the probe finds it."""
        order = shop.up_to("charge_payment")
        taken_over = outbox_telemetry.TAKEOVERS.labels(CHARGE)._value.get()
        resolved = resolved_as("done")
        monkeypatch.setattr(RemoteStepWork, "record", crash_before(RemoteStepWork.record))
        dies(CHARGE)
        assert money(order) == ("pending", 0)

        time_passes()
        drive()

        assert [operation for operation, _ in shop.provider.calls if "charge" in operation] == ["charge", "find_charge"]
        assert len(shop.provider.happened("charge")) == 1
        assert outcome(order) == ("confirmed", "", "completed")
        assert outbox_telemetry.TAKEOVERS.labels(CHARGE)._value.get() == taken_over + 1
        assert resolved_as("done") == resolved + 1

    def test_a_crash_in_the_middle_of_recording_leaves_fact_and_decision_together_or_not_at_all(
        self, shop, monkeypatch
    ):
        order = shop.up_to("charge_payment")
        monkeypatch.setattr(RemoteStepWork, "record", crash_after(RemoteStepWork.record))
        dies(CHARGE)
        assert money(order) == ("pending", 0)
        assert saga_of(order).current_step == "charge_payment"

        time_passes()
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert shop.provider.asked("charge") == 1


class TestBackward:
    def test_s9_a_crash_during_compensation_resumes_compensating(self, shop, monkeypatch):
        """S9: after a crash it goes on compensating, never forward."""
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        deliver(step("create_shipment"))
        monkeypatch.setattr(RemoteStepWork, "record", crash_before(RemoteStepWork.record))
        dies(step("charge_payment", undo=True))
        assert saga_of(order).direction == "backward"
        assert open_messages().count(step("charge_payment", undo=True)) == 1

        time_passes()
        drive()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert shop.provider.asked("refund") == 1
        assert len(shop.provider.happened("refund")) == 1
        assert shop.provider.asked("create") == 1
        assert (money(order), stock()) == (("refunded", 0), (10, 0))

    def test_s9_a_crash_between_two_compensations(self, shop, monkeypatch):
        """S9: the one that is done is not done again."""
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        deliver(step("create_shipment"), step("charge_payment", undo=True))
        monkeypatch.setattr(LocalWork, "save", crash_after(LocalWork.save))
        dies(step("reserve_stock", undo=True))
        order.refresh_from_db()
        assert (order.status, stock()) == ("pending", (10, 1))

        time_passes()
        drive()

        assert steps(order)["reserve_stock"] == UNDONE
        assert (shop.provider.asked("refund"), stock()) == (1, (10, 0))

    def test_a_crash_before_the_first_compensation_does_not_ask_the_failed_step_again(self, shop, monkeypatch):
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        monkeypatch.setattr(RemoteStepWork, "record", crash_after(RemoteStepWork.record))
        dies(step("create_shipment"))

        shop.provider.will("create", "refuse")
        time_passes()
        drive()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert (parcel(order), shop.provider.order) == ("refused", ["charge", "refund"])


class TestUnknown:
    def test_s10_a_charge_that_timed_out_but_happened_is_found_and_refunded_when_the_saga_fails(self, shop):
        """S10"""
        shop.provider.will("charge", "cut")
        shop.provider.will("create", "refuse")

        order = shop.driven()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert [operation for operation, _ in shop.provider.calls if "charge" in operation] == ["charge", "find_charge"]
        assert shop.provider.order == ["charge", "refund"]
        assert money(order) == ("refunded", 0)

    def test_i13_while_a_charge_is_unknown_nothing_is_undone_and_no_other_key_is_used(self, shop):
        """I13: an unknown outcome is asked about, never guessed, however often that takes."""
        order = shop.up_to("charge_payment")
        shop.provider.will("charge", "cut")
        shop.provider.always("find_charge", "lost")
        for _ in range(15):
            deliver(CHARGE)
            time_passes()

        assert steps(order) == {"reserve_stock": ("done", ""), "charge_payment": ("unknown", "")}
        assert saga_of(order).direction == "forward"
        assert (money(order), stock()) == (("unknown", 0), (10, 1))
        assert shop.provider.asked("charge") == 1
        assert len({key for _, key in shop.provider.calls}) == 1
        assert open_messages() == [CHARGE]

        shop.provider.always("find_charge", "ok")
        drive()
        assert outcome(order) == ("confirmed", "", "completed")

    def test_i13_a_cancel_waits_until_the_outcome_is_known(self, shop):
        """I13: the way back begins by resolving what is unknown."""
        from orders.cancellation import request_cancel

        order = shop.up_to("charge_payment")
        shop.provider.will("charge", "cut")
        shop.provider.will("find_charge", "lost", "lost")
        deliver(CHARGE)
        request_cancel(order.pk)
        for _ in range(2):
            deliver(CHARGE)
            time_passes()
        assert saga_of(order).direction == "forward"

        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert shop.provider.order == ["charge", "refund"]
        assert shop.provider.asked("charge") == 1

    def test_i13_absent_proves_nothing_before_the_horizon(self, shop, settings):
        """I13: a call younger than the horizon may still take effect over there."""
        from orders.cancellation import request_cancel

        absent = resolved_as("absent")

        limits(settings, IN_FLIGHT_HORIZON_SECONDS=3_600.0)
        order = shop.up_to("charge_payment")
        shop.provider.will("charge", "lost")
        deliver(CHARGE)
        request_cancel(order.pk)
        for _ in range(3):
            time_passes()
            deliver(CHARGE)
        assert steps(order)["charge_payment"] == ("unknown", "")
        assert saga_of(order).direction == "forward"
        assert resolved_as("absent") == absent

        limits(settings, IN_FLIGHT_HORIZON_SECONDS=0.0)
        drive()

        assert resolved_as("absent") == absent + 1

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert steps(order)["charge_payment"] == ("absent", "")
        assert (money(order), shop.provider.asked("charge"), stock()) == (("absent", 0), 1, (10, 0))

    def test_what_is_absent_is_asked_for_again_under_the_same_key(self, shop):
        absent = resolved_as("absent")
        shop.provider.will("charge", "lost", "lost")

        order = shop.driven()

        assert outcome(order) == ("confirmed", "", "completed")
        charged = [key for operation, key in shop.provider.calls if operation == "charge"]
        assert len(charged) == 3
        assert len(set(charged)) == 1
        assert shop.provider.asked("find_charge") == 2
        assert resolved_as("absent") == absent + 2

    def test_a_refund_that_timed_out_is_asked_about_before_it_is_asked_for_again(self, shop):
        shop.provider.will("create", "refuse")
        shop.provider.will("refund", "cut")

        order = shop.driven()

        assert [operation for operation, _ in shop.provider.calls if "refund" in operation] == ["refund", "find_refund"]
        assert (money(order), outcome(order)[2]) == (("refunded", 0), "compensated")


class TestSpent:
    def test_a_carrier_that_is_never_there_is_given_up_after_its_attempts_and_one_last_question(self, shop):
        shop.provider.always("create", "unavailable")

        order = shop.driven()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert shop.provider.asked("create") == 8
        assert shop.provider.asked("find") == 8
        assert steps(order)["create_shipment"] == ("absent", "")
        assert (parcel(order), money(order), stock()) == ("absent", ("refunded", 0), (10, 0))

    def test_an_attempt_that_was_turned_away_does_not_speak_for_the_one_before_it(self, shop):
        """The first call happened and its answer was lost; the later ones met a closed door."""
        shop.provider.will("charge", "cut")
        shop.provider.will("find_charge", *["unavailable"] * 9)

        order = shop.driven()

        assert outcome(order) == ("confirmed", "", "completed")
        assert len(shop.provider.happened("charge")) == 1
        assert Saga.objects.get().status == "completed"
