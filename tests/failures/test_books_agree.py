"""Whatever the seed: orders, money, parcels and stock agree at the end, with the provider's own books too.

Providers that answer, refuse, time out before or after the fact; workers that die in mid-transaction; customers that
cancel at any moment; claims that run out. All by chance, and by the same chance again for the same seed.
"""

import random
from contextlib import suppress

import pytest
from django.db import transaction

from inventory.models import Reservation
from orders.cancellation import request_cancel
from orders.exceptions import OrderAlreadyEnded
from orders.models import Order
from outbox import consumer, operations
from outbox.models import OutboxMessage
from payments.models import Payment, Refund
from sagas import operations as sagas
from sagas import recovery
from sagas.models import Saga
from sagas.runner import LocalWork, RemoteStepWork
from shipping.models import Shipment
from tests.inventory.builders import reservations
from tests.support.crash import Crash
from tests.support.drive import drive, time_passes
from tests.support.shop import stock

pytestmark = pytest.mark.django_db

ORDERS = 6
TURNS = 25
MOODS = {
    "charge": ["ok"] * 4 + ["cut", "lost", "unavailable", "refuse"],
    "create": ["ok"] * 4 + ["cut", "lost", "unavailable", "refuse"],
    "refund": ["ok"] * 2 + ["cut", "lost", "unavailable"],
    "cancel": ["ok"] * 2 + ["cut", "lost", "unavailable"],
    **{probe: ["ok"] * 3 + ["lost"] for probe in ("find_charge", "find", "find_refund", "find_cancellation")},
}


class Chance:
    """One seed's luck: how each call ends, and where a worker dies."""

    def __init__(self, seed, shop, monkeypatch):
        self.random = random.Random(seed)
        shop.provider._mood = self._mood
        self.calls = shop.provider.calls
        self.calm = False
        for work, name in ((RemoteStepWork, "record"), (RemoteStepWork, "note"), (LocalWork, "save")):
            monkeypatch.setattr(work, name, self._deadly(getattr(work, name)))

    def _mood(self, operation, key):
        self.calls.append((operation, key))
        return "ok" if self.calm else self.random.choice(MOODS[operation])

    def _deadly(self, function):
        def run(*args):
            result = function(*args)
            if not self.calm and self.random.random() < 0.08:
                raise Crash
            return result

        return run

    def turn(self, orders):
        """One thing happens: a ring, a wish to cancel, some time, some upkeep."""
        names = sorted(set(OutboxMessage.objects.filter(state="open").values_list("destination", flat=True)))
        for name in self.random.sample(names, len(names)):
            with suppress(Crash):
                consumer.deliver(name)
        if self.random.random() < 0.1:
            self._cancel(self.random.choice(orders))
        if self.random.random() < 0.7:
            time_passes()
        operations.park()
        operations.bury_spent()

    def _cancel(self, order):
        with suppress(OrderAlreadyEnded), transaction.atomic():
            request_cancel(order.pk)


@pytest.mark.parametrize("seed", range(10))
def test_i9_i10_i13_nothing_is_lost_or_doubled_whatever_happens(shop, monkeypatch, seed):
    """I3, I4, I8, I9, I10, I13, S13: every order ends, every book agrees, no operation ever had two keys."""
    chance = Chance(seed, shop, monkeypatch)
    orders = [shop.order(chance.random.randint(1, 4)) for _ in range(ORDERS)]
    for _ in range(TURNS):
        chance.turn(orders)
    chance.calm = True
    drive()
    operations.bury_spent()
    for saga in Saga.objects.filter(status="needs_attention"):
        sagas.retry(saga.pk, who=None, reason="the weather is fine again")
    drive()

    assert recovery.sweep() == 0
    assert not OutboxMessage.objects.filter(state="open").exists()
    assert not Saga.objects.filter(status__in=["running", "needs_attention"]).exists()
    for order in Order.objects.all():
        assert_order_agrees(order, shop.provider)
    assert_stock_agrees()
    assert_ledger_agrees(shop.provider)


def assert_order_agrees(order, provider):
    saga = Saga.objects.filter(subject_id=order.pk).first()
    held = sum(payment.captured_minor - payment.refunded_minor for payment in Payment.objects.filter(order_id=order.pk))
    parcels = Shipment.objects.filter(order_id=order.pk, status="created").count()
    states = {state for _, state in reservations(order.pk).values()}
    if order.status == "confirmed":
        assert (saga.status, held, parcels, states) == ("completed", order.total_minor, 1, {"committed"})
    else:
        assert order.status in {"rejected", "cancelled"}
        assert saga is None or saga.status == "compensated"
        assert (held, parcels) == (0, 0)
        assert states <= {"released"}


def assert_stock_agrees():
    sold = sum(row.quantity for row in Reservation.objects.filter(state="committed"))
    assert stock() == (10 - sold, 0)


def assert_ledger_agrees(provider):
    captured = {payment.provider_key for payment in Payment.objects.filter(captured_minor__gt=0)}
    assert set(provider.happened("charge")) == captured
    assert set(provider.happened("refund")) == set(
        Refund.objects.filter(status="refunded").values_list("provider_key", flat=True)
    )
    assert len(provider.happened("create")) - len(provider.happened("cancel")) == (
        Shipment.objects.filter(status="created").count()
    )
    assert not Payment.objects.filter(status__in=["pending", "unknown"]).exists()
    # One operation, one key (I3, I13).
    keys = {key for operation, key in provider.calls if operation in {"charge", "create"}}
    assert all(key.count(":") == 1 for key in keys)
