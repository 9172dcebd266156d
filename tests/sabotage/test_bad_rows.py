"""Tries to make the rows that each promise forbids, and asks the audit: with its guard in place it names nothing.

Each of these passes here; without its guard (`make sabotage`) the audit names the promise, by SQL that shares no code
with what was removed. Errors on the way are none of the point: refusing loudly is a way of keeping a promise.
"""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from audit.report import audit_now
from inventory import services as inventory
from orders import services
from orders.cancellation import request_cancel
from orders.models import Order
from outbox import operations as outbox
from outbox.models import InboxMessage, OutboxMessage
from payments import services as payments
from payments.models import Payment
from sagas import operations as sagas
from sagas.models import Saga
from tests.orders.builders import customer
from tests.support import told
from tests.support.crash import Crash, crash_before
from tests.support.drive import deliver, drive
from tests.support.provider import provider
from tests.support.shop import START, open_messages, outcome, saga_of, shop, step

__all__ = ["provider", "shop"]
pytestmark = pytest.mark.django_db
BODY = {"currency": "EUR", "items": [{"sku": "WIDGET", "quantity": 1}], "payment_method": "tok_ok"}


def audited(*promises: str) -> list[str]:
    """What the audit says against these promises, everything being at rest."""
    report = audit_now(at_rest=True, with_ledgers=False)
    return [f"{found.promise} {found.check}" for found in report.violations if found.promise in promises]


def caller(username: str) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(customer(username))
    return client


def post(client: APIClient, key: str):
    return client.post("/orders", BODY, format="json", headers={"Idempotency-Key": key})


@pytest.mark.django_db(transaction=True)
class TestIntake:
    def test_one_key_never_places_two_orders(self, shop):
        ann = caller("ann")
        answers = [post(ann, "k"), post(ann, "k")]

        assert audited("I2") == []
        assert Order.objects.count() <= 1
        assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) <= 1

    def test_nobody_is_answered_with_somebody_elses_order(self, shop):
        answers = [post(caller("ann"), "k"), post(caller("bob"), "k")]

        assert [answer.status_code for answer in answers] == [201, 201]
        assert len({answer.json()["id"] for answer in answers}) == 2
        assert audited("I2") == []

    def test_no_key_is_left_without_its_answer(self, shop, monkeypatch):
        monkeypatch.setattr("idempotency.services.store", crash_before(lambda *_: None))
        with pytest.raises(Crash):
            post(caller("ann"), "k")

        assert audited("I1", "I2") == []

    def test_no_order_is_left_without_its_message(self, shop, monkeypatch):
        monkeypatch.setattr("orders.services.publish", crash_before(lambda *_: None))
        with pytest.raises(Crash):
            post(caller("ann"), "k")

        assert audited("I1", "I2") == []


def test_an_order_never_ends_twice(shop):
    order = shop.order()
    services.cancel_orders([order.pk])
    services.confirm_orders([order.pk])

    assert audited("I5") == []


def test_an_order_never_has_two_sagas(shop):
    order = shop.started()
    OutboxMessage.objects.filter(destination=START).update(
        state="open", finished_at=None, due_at="2020-01-01T00:00:00Z"
    )
    InboxMessage.objects.all().delete()
    drive()

    assert audited("I5", "I6") == []
    assert Saga.objects.filter(subject_id=order.pk).count() == 1


def test_a_claim_that_nobody_finished_runs_out(monkeypatch):
    told.isolate(monkeypatch)
    told.consuming(told.Ledger())
    told.tell("a")

    for _ in range(2):
        OutboxMessage.objects.all().claim(told.CONSUMER, types=None, limit=1, claim_time=timedelta(0), max_attempts=10)

    assert told.row("a").attempts == 2


def test_a_saga_on_its_way_back_never_goes_forward(shop):
    shop.provider.will("create", "refuse")
    shop.provider.always("refund", "unavailable")
    order = shop.driven()
    assert outcome(order) == ("pending", "", "needs_attention")
    with suppress(IntegrityError), transaction.atomic():
        sagas.retry(saga_of(order).pk, who=None, reason="again")
    drive()

    assert audited("I7") == []
    assert saga_of(order).direction == "backward"
    assert shop.provider.asked("create") == 1


def test_what_was_done_is_undone_in_reverse_order(shop):
    order = shop.up_to("confirm_order")
    request_cancel(order.pk)
    drive()

    assert audited("I8") == []
    assert outcome(order) == ("cancelled", "customer", "compensated")


def test_a_failed_refund_never_ends_an_order(shop):
    shop.provider.will("create", "refuse")
    shop.provider.always("refund", "unavailable")
    order = shop.driven()

    assert audited("I8", "I9") == []
    assert outcome(order) == ("pending", "", "needs_attention")


def test_a_late_charge_is_never_kept(shop):
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    deliver(step("charge_payment"))
    request_cancel(order.pk)
    drive()
    [intent] = payments.intents_of([Payment.objects.get().pk]).values()
    with transaction.atomic():
        payments.record_charges([(intent, shop.provider.charge(intent))])
    drive()

    assert audited("I9") == []
    assert shop.provider.order == ["charge", "refund"]


def test_a_step_that_always_raises_never_leaves_its_saga_alone(shop, monkeypatch):
    def raises(requests):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("orders.sagas.inventory.reserve", raises)
    order = shop.driven()

    assert audited("I6") == []
    assert outcome(order) == ("pending", "", "needs_attention")


def test_an_order_is_never_charged_twice(shop):
    shop.provider.will("charge", "cut")
    shop.driven()

    assert "I3 one_live_charge_per_order" not in audited("I3")
    assert len(shop.provider.happened("charge")) == 1


@pytest.mark.parametrize("cancelled", [True, False])
def test_an_order_never_ends_while_its_charge_is_unknown(shop, cancelled):
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "cut")
    deliver(step("charge_payment"))
    if cancelled:
        request_cancel(order.pk)
    drive()

    assert audited("I9", "I13") == []
    assert outcome(order)[0] == ("cancelled" if cancelled else "confirmed")


def test_no_more_is_given_back_than_was_taken(shop):
    shop.provider.will("create", "refuse")
    shop.driven()

    assert audited("I3", "I9") == []
    assert sum(row.amount_minor for (did, _), row in shop.provider.ledger.items() if did == "refund") == 999


def test_nothing_is_ever_oversold(shop):
    orders = [shop.order(quantity=4) for _ in range(4)]
    drive()

    assert audited("I10") == []
    assert sum(outcome(order)[0] == "confirmed" for order in orders) <= 2


def test_an_order_never_reserves_twice(shop):
    order = shop.up_to("charge_payment")
    with suppress(IntegrityError), transaction.atomic():
        inventory.reserve({order.pk: [("WIDGET", 1)]})

    assert audited("I5") == []


def test_a_purge_never_takes_what_a_saga_waits_for(shop):
    shop.up_to("charge_payment")
    OutboxMessage.objects.update(created_at="2020-01-01T00:00:00Z")
    outbox.purge(older_than=timedelta(seconds=-60))

    assert audited("I6") == []
    assert step("charge_payment") in open_messages()


def test_postgres_refuses_an_end_that_the_status_does_not_tell(shop):
    order = shop.started()

    with pytest.raises(IntegrityError, match="a_saga_has_ended_if_and_only_if_its_status_says_so"):
        Saga.objects.filter(subject_id=order.pk).update(ended_at="2026-01-01T00:00:00Z")
