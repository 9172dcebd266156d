"""F7: duplicate, reordered and late (minutes, 8 days and more) delivery: no second effect; order holds."""

import random
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from notifications.models import Notification
from orders.models import Order
from outbox import consumer, operations, telemetry
from outbox.models import InboxMessage, OutboxMessage
from payments import services as payments
from payments.exceptions import LivePaymentExists
from payments.models import Payment, Refund
from sagas import lifecycle
from sagas.models import Saga
from shipping.models import Shipment
from tests.inventory.builders import reservations
from tests.orders.builders import place
from tests.support.drive import drive
from tests.support.shop import START, STEPS, outcome, step, stock
from tests.support.threads import at_once

pytestmark = pytest.mark.django_db
# Whatever has ended has ended long enough ago: days have passed.
ANY_AGE = timedelta(seconds=-60)


def world(shop):
    """Everything that an effect could have changed, without the bookkeeping of deliveries."""
    return {
        "orders": sorted(Order.objects.values_list("pk", "status", "reason", "sequence")),
        "money": sorted(Payment.objects.values_list("provider_key", "status", "captured_minor", "refunded_minor")),
        "refunds": sorted(Refund.objects.values_list("provider_key", "status")),
        "parcels": sorted(Shipment.objects.values_list("provider_key", "status")),
        "notices": sorted(Notification.objects.values_list("order_id", "kind", "status")),
        "stock": stock(),
        "reserved": [sorted(reservations(pk).items()) for pk in sorted(Order.objects.values_list("pk", flat=True))],
        "provider": sorted(shop.provider.ledger),
        "told": sorted(set(OutboxMessage.objects.values_list("message_id", flat=True))),
    }


def ended(shop):
    """One order that was confirmed and one whose parcel was refused, so that there is a way back too."""
    orders = [shop.driven()]
    shop.provider.will("create", "refuse")
    orders.append(shop.driven())
    assert [outcome(order)[0] for order in orders] == ["confirmed", "rejected"]
    return orders


def deliver_again(row):
    """A message that was done comes once more: the broker, an operator or a restored backup repeats it."""
    OutboxMessage.objects.filter(pk=row.pk).update(state="open", finished_at=None, attempts=0, due_at=timezone.now())
    consumer.deliver(row.destination)
    assert not OutboxMessage.objects.filter(state="open").exists()
    row.refresh_from_db()
    assert row.state == "done"


class TestDuplicate:
    @pytest.mark.parametrize("seed", range(3))
    def test_f7_every_message_of_two_ended_orders_again_in_any_order_changes_nothing(self, shop, seed):
        """F7, I5: hours later, reversed and shuffled: each is known by its id."""
        ended(shop)
        before, calls = world(shop), list(shop.provider.calls)
        rows = list(OutboxMessage.objects.all())
        random.Random(seed).shuffle(rows)
        duplicates = {name: telemetry.INBOX_DUPLICATES.labels(name)._value.get() for name in (START, step(STEPS[0]))}

        for row in rows:
            deliver_again(row)

        assert len(rows) == 15
        assert (world(shop), shop.provider.calls) == (before, calls)
        for name, count in duplicates.items():
            assert telemetry.INBOX_DUPLICATES.labels(name)._value.get() == count + 2

    @pytest.mark.django_db(transaction=True)
    def test_f7_one_ring_answered_by_eight_workers_at_once_has_one_effect(self, shop):
        """F7: a ring is doubled by the broker and answered everywhere at once."""
        orders = [shop.order() for _ in range(4)]

        for name in (START, *(step(name) for name in STEPS)):
            at_once(*[lambda name=name: consumer.deliver(name)] * 8)
        drive()

        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}
        assert (shop.provider.asked("charge"), shop.provider.asked("create"), stock()) == (4, 4, (6, 0))
        assert shop.provider.asked("find_charge") == 0


class TestReordered:
    @pytest.mark.parametrize("seed", range(5))
    def test_f7_rings_in_any_order_and_any_number_end_in_the_same_world(self, shop, seed):
        """F7, I12: rings of steps that are not due yet, doubled and reversed, are rings for nothing."""
        orders = [place(shop.customer, ("WIDGET", quantity)) for quantity in (1, 2, 3)]
        names = [START, *(step(name) for name in STEPS)] * 6
        random.Random(seed).shuffle(names)

        for name in names:
            consumer.deliver(name)
        drive()

        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}
        assert shop.provider.order.count("charge") == shop.provider.order.count("create") == 3
        assert stock() == (4, 0)

    def test_f7_i12_the_events_of_an_order_reach_a_consumer_in_the_order_of_their_sequence(self, shop, published):
        """F7, I12: whatever the rings did, what an order tells is told in its own order."""
        orders = ended(shop)

        for order in orders:
            numbers = [sequence for _, payload, sequence in published() if payload.get("orderId") == str(order.pk)]
            own = OutboxMessage.objects.filter(destination="everything", aggregate_id=order.pk).order_by("id")
            assert list(own.values_list("sequence", flat=True)) == list(range(1, own.count() + 1))
            assert len(numbers) >= 2


class TestLate:
    def test_f7_minutes_late_a_saga_that_went_on_meanwhile_is_left_alone(self, shop):
        """F7, I6: a message that its saga no longer waits for, though no inbox row remembers it."""
        order = shop.up_to("create_shipment")
        late = OutboxMessage.objects.get(destination=step("charge_payment"))
        InboxMessage.objects.all().delete()
        drive()
        before, calls = world(shop), list(shop.provider.calls)

        deliver_again(late)

        assert (world(shop), shop.provider.calls) == (before, calls)
        assert outcome(order) == ("confirmed", "", "completed")

    @pytest.mark.parametrize("inbox_forgot", [False, True])
    def test_f7_days_later_when_the_outbox_and_the_sagas_have_forgotten_it_changes_nothing(self, shop, inbox_forgot):
        """F7, I5: after 8 days the inbox still knows it; after its 14 the natural keys of each effect hold."""
        ended(shop)
        drive()
        before, calls = world(shop), list(shop.provider.calls)
        old = list(OutboxMessage.objects.order_by("id"))
        assert operations.purge(older_than=ANY_AGE) == len(old)
        assert lifecycle.purge(older_than=ANY_AGE) == 2
        if inbox_forgot:
            assert operations.purge_inbox(older_than=ANY_AGE) > 0

        for row in old:
            come_from_the_past(row)
        drive()

        assert (world(shop), shop.provider.calls) == (before, calls)
        assert not Saga.objects.exists()
        assert not OutboxMessage.objects.filter(state__in=["open", "dead"]).exists()

    def test_f7_a_charge_that_is_asked_for_after_weeks_has_the_key_it_always_had(self, shop):
        """F7, I3: Postgres and the provider know one payment per order, whoever asks and when."""
        order = shop.driven()
        [payment] = Payment.objects.filter(order_id=order.pk)
        request = payments.ChargeRequest(
            order_id=order.pk, saga_key="another:charge", amount_minor=999, currency="EUR", payment_method="tok_ok"
        )

        with pytest.raises(LivePaymentExists), transaction.atomic():
            payments.note_charges([request])

        assert Payment.objects.get() == payment


def come_from_the_past(row):
    """The same message, under its own id, in a row of its own."""
    row.key, row.state, row.attempts, row.finished_at, row.claimed_at = uuid7(), "open", 0, None, None
    row.due_at = timezone.now()
    row.save(force_insert=True)
    consumer.deliver(row.destination)
