"""F13: late success after we gave up is found and undone; net zero.

By the webhook, by reconciliation alone, with a crash anywhere in between, and when the saga is purged already.
"""

import hashlib
import hmac
import json
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from audit import consumers, reconciliation, repairs
from audit.comparison import compare
from audit.models import Difference
from audit.report import audit_now
from orders import late_success
from orders.cancellation import request_cancel
from orders.models import Order
from outbox import consumer
from outbox.models import OutboxMessage
from payments.models import Payment, Refund
from sagas import lifecycle, operations
from sagas.models import Saga
from shipping.models import Shipment
from tests.inventory.builders import stocked
from tests.support.crash import Crash, crash_after
from tests.support.drive import deliver, drive
from tests.support.shop import money, outcome, parcel, saga_of, step, stock

from .rest import assert_all_is_well

pytestmark = pytest.mark.django_db
ENDED = ("cancelled", "customer", "compensated")


@pytest.fixture(autouse=True)
def nothing_is_too_young(settings):
    settings.RECONCILIATION = {"SETTLED_SECONDS": 0.0}


def given_up(shop, name="charge_payment", call="charge"):
    """An order that was cancelled while a call was under way; it was not found, and settled as absent."""
    order = shop.up_to(name)
    shop.provider.will(call, "lost")
    deliver(step(name))
    request_cancel(order.pk)
    drive()
    assert outcome(order) == ENDED
    return order


def charged_late(shop):
    order = given_up(shop)
    shop.provider.happens_late("charge")
    assert money(order) == ("absent", 0)
    return order


def shipped_late(shop):
    order = given_up(shop, "create_shipment", "create")
    shop.provider.happens_late("create")
    assert parcel(order) == "absent"
    return order


def purged(order):
    Saga.objects.update(ended_at=timezone.now() - timedelta(days=8))
    assert lifecycle.purge() == 1
    return order


def reconciled():
    consumers.go_on()
    drive()


def webhook(client, order):
    key = Payment.objects.get(order_id=order.pk).provider_key
    raw = json.dumps({"id": f"evt_{uuid4().hex}", "data": {"idempotency_key": key}}).encode()
    stamp = str(int(time.time()))
    digest = hmac.new(b"sandbox-webhook-secret", stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
    headers = {"Webhook-Signature": f"t={stamp},v1={digest}"}
    assert client.post("/webhooks/payments", raw, content_type="application/json", headers=headers).status_code == 200


def assert_net_zero(shop, order):
    """Whatever happened over there is undone, once, under the keys of its saga; every book agrees."""
    saga_id = saga_of(order).pk
    assert outcome(order) == ENDED
    assert [key for key in shop.provider.happened("refund") if key != f"{saga_id}:charge_payment.undo"] == []
    assert [key for key in shop.provider.happened("cancel") if key != f"{saga_id}:create_shipment.undo"] == []
    assert len(shop.provider.happened("charge")) == len(shop.provider.happened("refund"))
    assert len(shop.provider.happened("create")) == len(shop.provider.happened("cancel"))
    assert not OutboxMessage.objects.filter(state__in=["open", "dead"]).exists()
    assert list(compare(at_rest=True)) == []
    assert audit_now(at_rest=True, with_ledgers=False).violations == []
    assert stock() == (10, 0)


def kept():
    return [(row.object, row.kind, row.state, row.repair) for row in Difference.objects.order_by("pk")]


class TestCharge:
    def test_f13_found_by_the_webhook(self, shop, client):
        order = charged_late(shop)
        webhook(client, order)
        drive()

        assert money(order) == ("refunded", 0)
        reconciled()
        assert_net_zero(shop, order)
        assert kept() == []

    def test_f13_found_by_reconciliation_alone(self, shop):
        order = charged_late(shop)
        reconciled()

        assert money(order) == ("refunded", 0)
        assert kept() == [("charge", "late_capture", "open", "ask")]
        reconciled()
        assert kept() == [("charge", "late_capture", "repaired", "ask")]
        assert_net_zero(shop, order)

    def test_f13_found_by_both_at_once(self, shop, client):
        order = charged_late(shop)
        webhook(client, order)
        reconciled()

        assert_net_zero(shop, order)

    @pytest.mark.parametrize("found_by", ["webhook", "reconciliation"])
    def test_f13_when_its_saga_is_purged_already(self, shop, client, found_by):
        order = charged_late(shop)
        saga_id = saga_of(order).pk
        purged(order)
        webhook(client, order) if found_by == "webhook" else consumers.go_on()
        drive()

        assert (money(order), saga_of(order).pk) == (("refunded", 0), saga_id)
        assert_net_zero(shop, order)


class TestParcel:
    def test_f13_found_by_reconciliation_alone(self, shop):
        """No webhook tells of parcels."""
        order = shipped_late(shop)
        reconciled()

        assert (parcel(order), money(order)) == ("cancelled", ("refunded", 0))
        reconciled()
        assert kept() == [("shipment", "late_parcel", "repaired", "ask")]
        assert_net_zero(shop, order)

    def test_f13_when_its_saga_is_purged_already(self, shop):
        order = purged(shipped_late(shop))
        reconciled()

        assert parcel(order) == "cancelled"
        assert_net_zero(shop, order)

    def test_f13_beside_a_charge_that_came_late_too_and_with_the_saga_purged(self, shop):
        """Both messages find no saga; one writes it anew, the other finds it."""
        order = shipped_late(shop)
        Payment.objects.update(status="absent", captured_minor=0, refunded_minor=0, provider_reference="")
        for key in shop.provider.happened("refund"):
            del shop.provider.ledger["refund", key]
        Refund.objects.all().delete()
        purged(order)
        reconciled()
        reconciled()

        assert (parcel(order), money(order)) == ("cancelled", ("refunded", 0))
        assert_net_zero(shop, order)


CRASHES = {
    "the difference stored, its repair asked for": (repairs, "ask"),
    "the slice stored, not committed": (reconciliation, "store_slice"),
    "the saga revived, not committed": (late_success, "undo"),
}


class TestCrash:
    @pytest.mark.parametrize("late", [charged_late, shipped_late])
    @pytest.mark.parametrize("where", CRASHES)
    @pytest.mark.parametrize("is_purged", [False, True])
    def test_f13_a_crash_in_the_middle_loses_nothing(self, shop, monkeypatch, late, where, is_purged):
        order = purged(late(shop)) if is_purged else late(shop)
        module, name = CRASHES[where]
        monkeypatch.setattr(module, name, crash_after(getattr(module, name)))
        consumers.go_on()
        with pytest.raises(Crash):
            drive()
        drive()
        reconciled()

        assert_net_zero(shop, order)

    def test_f13_a_crash_after_every_single_delivery_loses_nothing(self, shop):
        """Each message is claimed once in vain: its worker died, and the claim ran out."""
        order = charged_late(shop)
        consumers.go_on()
        for _ in range(50):
            names = set(OutboxMessage.objects.filter(state="open").values_list("destination", flat=True))
            if not names:
                break
            for name in names:
                consumer.claim(consumer.routing.inside(name), 10)
            drive(turns=1_000)

        assert_net_zero(shop, order)


class TestLeftAlone:
    def test_f13_what_an_operator_answered_for_is_not_undone_behind_their_back(self, shop):
        """They skipped the refund and paid by bank transfer."""
        order = shop.up_to("create_shipment")
        shop.provider.always("refund", "refuse")
        request_cancel(order.pk)
        drive()
        operations.skip(saga_of(order).pk, who=None, reason="paid back by bank transfer")
        assert outcome(order)[2] == "compensated"
        shop.provider.always("refund", "ok")
        purged(order)
        reconciled()

        assert shop.provider.happened("refund") == []
        assert kept() == []

    def test_a_shipment_row_of_another_order_is_not_touched(self, shop):
        other = shop.driven()
        order = shipped_late(shop)
        reconciled()

        assert parcel(order) == "cancelled"
        assert Shipment.objects.get(order_id=other.pk).status == "created"


LATE_SECONDS = 20
AT_WORK = {
    # No webhook tells; the provider is given up long before it has done what it was asked for.
    "WEBHOOK_URL": "",
    "DJANGO_SETTINGS_MODULE": "tests.failures.short_limits",
    "RECONCILIATION_INTERVAL_SECONDS": "1",
    "RECONCILIATION_SETTLED_SECONDS": "1",
}


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_f13_real_processes_find_and_undo_a_late_charge_and_a_late_parcel(service):
    """F13: without a webhook, by nothing but the tick, with a worker killed on the way."""
    service.stack.environment.update(AT_WORK)
    stocked(f"SHIP-LATE-{LATE_SECONDS}", 5)
    service.start()
    charge = placed(service, sku="WIDGET", payment_method=f"tok_late_{LATE_SECONDS}")
    parcel_of = placed(service, sku=f"SHIP-LATE-{LATE_SECONDS}")
    wait(service, "an unknown outcome each", lambda: unknown(Payment, charge) and unknown(Shipment, parcel_of))
    for order_id in (charge, parcel_of):
        assert service.request("POST", f"/orders/{order_id}/cancel").status_code in {200, 202}
    wait(service, "both given up", lambda: statuses(charge, parcel_of) == {"cancelled"})
    assert Payment.objects.get(order_id=charge).status == "absent"
    assert Shipment.objects.get(order_id=parcel_of).status == "absent"

    wait(service, "the late charge", lambda: Payment.objects.get(order_id=charge).status != "absent")
    service.kill("remote-worker")
    service.start("remote-worker")

    wait(service, "the money back", lambda: Payment.objects.get(order_id=charge).status == "refunded")
    wait(service, "the parcel back", lambda: Shipment.objects.get(order_id=parcel_of).status == "cancelled")
    assert_all_is_well(service)
    wait(service, "agreement", lambda: not Difference.objects.filter(state="open").exists())
    assert sorted(Difference.objects.values_list("object", "kind", "state")) == [
        ("charge", "late_capture", "repaired"),
        ("shipment", "late_parcel", "repaired"),
    ]


def placed(service, **body):
    answer = service.place({"quantity": 1, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def unknown(model, order_id):
    return model.objects.filter(order_id=order_id, status="unknown").exists()


def statuses(*order_ids):
    return set(Order.objects.filter(pk__in=order_ids).values_list("status", flat=True))


def wait(service, what, happened):
    service.wait_until(happened, within_seconds=60, what=what)
