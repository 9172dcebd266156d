"""Repairs: what is proved is put right through the services, once, under the saga's keys; the rest is left alone."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from audit import consumers, repairs
from audit.comparison import compare
from audit.models import Difference
from orders.cancellation import request_cancel
from outbox.models import OutboxMessage
from payments.gateways.base import RefundIntent
from payments.models import Payment, Refund
from sagas import operations as sagas
from sagas import recovery
from sagas.models import Saga
from shipping.models import Cancellation, Shipment
from tests.support.drive import deliver, drive
from tests.support.shop import money, outcome, parcel, saga_of, step, steps
from tests.support.staff import root

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_is_too_young(settings):
    settings.RECONCILIATION = {"SETTLED_SECONDS": 0.0}


def tick():
    consumers.go_on()
    drive()


def kept():
    return [(row.object, row.kind, row.state, row.repair) for row in Difference.objects.order_by("pk")]


def asked(shop, *operations):
    return {operation: shop.provider.asked(operation) for operation in operations}


def unfulfilled(shop, name="create_shipment", call="create"):
    """An order that was rejected at this step: what was done before it is undone."""
    shop.provider.will(call, "refuse")
    order = shop.driven()
    assert outcome(order)[0] == "rejected"
    return order


class TestAsk:
    """It happened over there and our row does not know: the provider's word becomes the fact."""

    def test_an_unknown_charge_of_a_saga_that_waits_for_a_person_is_adopted(self, shop):
        order = shop.up_to("charge_payment")
        shop.provider.will("charge", "cut")
        shop.provider.always("find_charge", "lost")
        deliver(step("charge_payment"))
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        assert_attended(order)
        shop.provider.calls_off("find_charge")

        tick()

        assert money(order) == ("captured", 999)
        assert shop.provider.asked("charge") == 1
        sagas.resume(saga_of(order).pk, who=None, reason="the books tell")
        tick()
        assert outcome(order) == ("confirmed", "", "completed")
        assert kept() == [("charge", "state", "repaired", "ask")]

    def test_a_refund_that_was_refused_and_made_after_all_is_adopted(self, shop):
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        shop.provider.will("refund", "refuse")
        drive()
        assert outcome(order)[2] == "needs_attention"
        refund = Refund.objects.get()
        shop.provider.refund(shop.provider.intents["refund", refund.provider_key])

        tick()
        tick()

        assert (Refund.objects.get().status, money(order)) == ("refunded", ("refunded", 0))
        assert shop.provider.happened("refund") == [refund.provider_key]
        assert kept() == [("refund", "state", "repaired", "ask")]

    def test_a_cancellation_whose_answer_was_lost_is_adopted(self, shop):
        order = shop.up_to("confirm_order")
        shop.provider.always("cancel", "cut")
        shop.provider.always("find_cancellation", "lost")
        request_cancel(order.pk)
        drive()
        assert outcome(order)[2] == "needs_attention"
        assert Cancellation.objects.get().status == "unknown"
        shop.provider.calls_off("find_cancellation")

        tick()
        tick()

        assert (Cancellation.objects.get().status, parcel(order)) == ("cancelled", "cancelled")
        assert kept() == [("cancellation", "state", "repaired", "ask")]

    def test_what_stays_different_is_asked_about_a_few_times_and_then_waits_for_a_person(self, shop):
        order = shop.driven()
        Payment.objects.update(status="unknown", captured_minor=0, provider_reference="")
        shop.provider.always("find_charge", "lost")
        for _ in range(repairs.REPAIRS_MAX + 3):
            consumers.go_on()
            deliver("audit.reconcile_payments", "audit.reconcile_shipping")
        one = Difference.objects.get()
        assert (one.repairs, one.state) == (repairs.REPAIRS_MAX, "open")
        assert OutboxMessage.objects.filter(destination="payments.reread").count() == repairs.REPAIRS_MAX
        assert order.status == "pending"

    def test_a_repair_is_not_asked_for_again_before_the_last_one_can_have_taken_effect(self, shop, settings):
        shop.driven()
        Payment.objects.update(
            status="unknown", captured_minor=0, provider_reference="", updated_at=timezone.now() - timedelta(hours=1)
        )
        settings.RECONCILIATION = {"SETTLED_SECONDS": 60.0}
        for _ in range(3):
            consumers.go_on()
            deliver("audit.reconcile_payments")
        assert Difference.objects.get().repairs == 1


class TestClaim:
    """It stands there under a key of ours, and we have no row: a backup was restored that knew nothing of it."""

    def test_an_orphan_charge_is_refunded_under_its_sagas_key(self, shop):
        order = unfulfilled(shop)
        forget_payment(order, shop)

        tick()
        tick()
        tick()

        saga_id = saga_of(order).pk
        assert money(order) == ("refunded", 0)
        assert shop.provider.happened("refund") == [f"{saga_id}:charge_payment.undo"]
        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert list(compare(at_rest=True)) == []
        assert {state for _, _, state, _ in kept()} == {"repaired"}

    def test_an_orphan_parcel_is_cancelled_under_its_sagas_key(self, shop):
        order = shop.up_to("confirm_order")
        request_cancel(order.pk)
        drive()
        forget_shipment(order, shop)

        tick()
        tick()
        tick()

        saga_id = saga_of(order).pk
        assert parcel(order) == "cancelled"
        assert shop.provider.happened("cancel") == [f"{saga_id}:create_shipment.undo"]
        assert list(compare(at_rest=True)) == []

    def test_an_orphan_is_left_alone_until_it_was_seen_for_longer_than_a_call_can_be_in_flight(self, shop, settings):
        order = unfulfilled(shop)
        forget_payment(order, shop)
        settings.RECONCILIATION = {"SETTLED_SECONDS": 60.0}

        tick()
        assert (kept(), Payment.objects.count()) == ([("charge", "theirs_only", "open", "")], 0)

        page = root().get(f"/admin/audit/difference/{Difference.objects.get().pk}/change/").content.decode()
        assert ("left alone" in page, "waits for a person" in page, "Nothing here proves" in page) == (
            True,
            False,
            False,
        )

        Difference.objects.update(first_seen_at=timezone.now() - timedelta(minutes=3))
        tick()
        assert Payment.objects.get().status in {"late", "refunded"}

    def test_when_the_saga_is_gone_too_it_is_written_anew_under_its_id(self, shop):
        order = unfulfilled(shop)
        saga_id = saga_of(order).pk
        forget_payment(order, shop)
        Saga.objects.all().delete()

        tick()
        tick()

        assert (money(order), saga_of(order).pk) == (("refunded", 0), saga_id)
        assert steps(order) == {"charge_payment": ("done", "done")}

    @pytest.mark.parametrize("strange", ["key", "saga", "order", "amount", "confirmed"])
    def test_what_is_not_proved_waits_for_a_person(self, shop, strange):
        order = shop.driven() if strange == "confirmed" else unfulfilled(shop)
        key = forget_payment(order, shop)
        intent = shop.provider.intents.pop(("charge", key))
        shop.provider.ledger.pop(("charge", key))
        changes = {
            "key": {"provider_key": "somebody-elses"},
            "saga": {"provider_key": f"{uuid4()}:charge_payment"},
            "order": {"order_id": uuid4()},
            "amount": {"amount_minor": 998},
            "confirmed": {},
        }[strange]
        shop.provider.charge(replace(intent, **changes))

        for _ in range(3):
            tick()

        assert kept() == [("charge", "theirs_only", "open", "")]
        assert (Payment.objects.count(), shop.provider.happened("refund")) == (0, [])

    def test_a_second_charge_beside_one_that_we_know_waits_for_a_person(self, shop):
        """I3: whichever of the two is right, no key is made up for it."""
        order = shop.driven()
        intent = shop.provider.intents["charge", shop.provider.happened("charge")[0]]
        shop.provider.charge(replace(intent, provider_key=f"{uuid4()}:charge_payment"))
        tick()
        tick()
        assert kept() == [("charge", "theirs_only", "open", "")]
        assert (money(order), shop.provider.happened("refund")) == (("captured", 999), [])


class TestUndo:
    """Both books know of it, and its order ended without it."""

    def test_money_held_for_an_order_that_ended_without_it_goes_back(self, shop):
        """The message that brought the news of the late charge was skipped."""
        shop.provider.will("charge", "lost")
        order = shop.up_to("charge_payment")
        deliver(step("charge_payment"))
        request_cancel(order.pk)
        drive()
        shop.provider.happens_late("charge")
        consumers.go_on()
        deliver("audit.reconcile_payments", "payments.reread")
        OutboxMessage.objects.filter(destination="orders.undo_late_charge").update(
            state="skipped", finished_at=timezone.now()
        )
        assert money(order) == ("late", 999)

        tick()
        tick()

        assert money(order) == ("refunded", 0)
        assert kept() == [("charge", "late_capture", "repaired", "undo")]
        assert shop.provider.happened("refund") == [f"{saga_of(order).pk}:charge_payment.undo"]


class TestLeft:
    """What nothing here proves waits for a person, and nothing is called."""

    def test_other_amounts_and_what_was_done_behind_our_back(self, shop):
        shop.driven()
        shop.driven()
        receipts = [intent for (operation, _), intent in shop.provider.intents.items() if operation == "charge"]
        shop.provider.intents["charge", receipts[0].provider_key] = replace(receipts[0], amount_minor=998)
        refund_behind_our_back(shop, receipts[1])
        before = asked(shop, "charge", "find_charge", "refund", "find_refund", "create", "cancel")
        for _ in range(3):
            tick()
        assert sorted(kept()) == [
            ("charge", "amount", "open", ""),
            ("charge", "amount", "open", ""),
            ("refund", "theirs_only", "open", ""),
        ]
        assert asked(shop, "charge", "find_charge", "refund", "find_refund", "create", "cancel") == before
        assert set(Payment.objects.values_list("status", flat=True)) == {"captured"}


def assert_attended(order):
    assert recovery.attend_overdue() == 1
    assert outcome(order)[2] == "needs_attention"


def forget_payment(order, shop):
    """As if a backup from before it had been restored, and the money never given back over there."""
    payment = Payment.objects.get(order_id=order.pk)
    for key in Refund.objects.filter(payment=payment).values_list("provider_key", flat=True):
        del shop.provider.ledger["refund", key]
    Refund.objects.filter(payment=payment).delete()
    payment.delete()
    saga_of(order).steps.filter(name="charge_payment").update(status="absent", undo_status="", output={})
    return payment.provider_key


def forget_shipment(order, shop):
    shipment = Shipment.objects.get(order_id=order.pk)
    for key in Cancellation.objects.filter(shipment=shipment).values_list("provider_key", flat=True):
        del shop.provider.ledger["cancel", key]
    Cancellation.objects.filter(shipment=shipment).delete()
    shipment.delete()
    saga_of(order).steps.filter(name="create_shipment").update(status="absent", undo_status="", output={})


def refund_behind_our_back(shop, charged):
    shop.provider.refund(
        RefundIntent(
            refund_id=uuid4(),
            payment_id=charged.payment_id,
            order_id=charged.order_id,
            provider_key="dashboard",
            charge_reference=f"charge-{charged.provider_key}",
            amount_minor=999,
            currency="EUR",
        )
    )
