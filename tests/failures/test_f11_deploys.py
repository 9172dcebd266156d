"""F11: deploy with sagas in flight: old and new code together, and back: each saga finishes under its own version;
unknown types and versions in our own outbox are left to the code that knows them.
"""

import random
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from orders import sagas as fulfilment
from orders.cancellation import request_cancel
from orders.exceptions import CancelUndecided
from outbox import bell, consumer, operations, routing, tasks
from outbox.models import OutboxMessage
from sagas import consumers, definition, recovery, selectors
from sagas.definition import Definition, Step
from sagas.models import Saga
from sagas.outcomes import Done
from tests.support.drive import drive, time_passes
from tests.support.shop import START, STEPS, money, outcome, parcel, saga_of, steps, stock

pytestmark = pytest.mark.django_db
NEW_STEPS = ("reserve_stock", "check_address", *STEPS[1:])


@dataclass(frozen=True, kw_only=True)
class Code:
    """What one deployed version of the code knows: destinations and definitions."""

    inside: dict
    definitions: dict

    @contextmanager
    def running(self):
        """A process of this version does what stands in the block."""
        before = routing._inside, definition._definitions
        routing._inside, definition._definitions = self.inside, self.definitions
        try:
            yield
        finally:
            routing._inside, definition._definitions = before

    def works(self, times=6):
        """Its workers answer every ring that this code can answer, once, some times over."""
        with self.running():
            for _ in range(times):
                for name in list(self.inside):
                    consumer.deliver(name)


@pytest.fixture
def old(shop):
    return Code(inside=dict(routing._inside), definitions=dict(definition._definitions))


@pytest.fixture
def new(old):
    """The next release: its orders have an address checked between stock and money; it still knows version 1."""
    known = definition.find("fulfil_order", 1)
    check = Step(name="check_address", action=lambda runs: {run.saga_id: Done() for run in runs})
    code = Code(inside=dict(old.inside), definitions=dict(old.definitions))
    with code.running():
        consumers.register(
            Definition(
                name="fulfil_order",
                version=2,
                steps=[known.steps[0], check, *known.steps[1:]],
                on_compensated=fulfilment.end_unfulfilled,
            )
        )
    return code


def ended_under(order, version):
    """It was confirmed, by the steps of that version and no other."""
    expected = STEPS if version == 1 else NEW_STEPS
    assert outcome(order) == ("confirmed", "", "completed")
    assert (saga_of(order).version, tuple(steps(order))) == (version, expected)
    assert (money(order), parcel(order)) == (("captured", 999), "created")


class TestForward:
    @pytest.mark.parametrize("at", STEPS)
    def test_f11_a_saga_in_flight_finishes_under_the_version_it_began_with(self, shop, old, new, at):
        """F11: the new code takes over at every step, and begins its own sagas beside it."""
        order = shop.up_to(at)

        with new.running():
            later = shop.order()
            drive()

        ended_under(order, 1)
        ended_under(later, 2)
        assert stock() == (8, 0)

    @pytest.mark.parametrize("seed", range(4))
    def test_f11_old_and_new_workers_together_end_every_order_under_one_version(self, shop, old, new, seed):
        """F11: a rolling deploy: both answer the same rings, in any order, each what it knows."""
        orders = [shop.order() for _ in range(6)]
        luck = random.Random(seed)
        for _ in range(4):
            with luck.choice([old, new]).running():
                consumer.deliver(START)
        for _ in range(60):
            code = luck.choice([old, new])
            with code.running():
                consumer.deliver(luck.choice(sorted(code.inside)))
        with new.running():
            drive()

        for order in orders:
            ended_under(order, saga_of(order).version)
        assert (shop.provider.asked("charge"), shop.provider.asked("create"), stock()) == (6, 6, (4, 0))

    def test_f11_a_refusal_under_the_new_version_is_undone_by_the_new_version(self, shop, old, new):
        """F11, I8: the way back too is the way of the version it began with."""
        shop.provider.will("create", "refuse")
        with new.running():
            order = shop.order()
            drive()

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert (money(order), stock()) == (("refunded", 0), (10, 0))
        assert steps(order)["check_address"] == ("done", "")


class TestBack:
    def test_f11_back_to_the_old_code_new_sagas_wait_untouched_and_old_ones_go_on(self, shop, old, new):
        """F11: no attempt, no error, nothing dead, nobody in the way; forward again they end."""
        with new.running():
            waiting = shop.order()
            consumer.deliver(START)
            consumer.deliver("fulfil_order.v2.reserve_stock")
        other = shop.order()

        for _ in range(12):
            old.works(times=5)
            with old.running():
                time_passes()
                operations.park()
                operations.bury_spent()
                recovery.sweep()

        ended_under(other, 1)
        row = OutboxMessage.objects.get(state="open")
        assert (row.destination, row.attempts, row.last_error) == ("fulfil_order.v2.check_address", 0, "")
        assert outcome(waiting) == ("pending", "", "running")

        with new.running():
            drive()
        ended_under(waiting, 2)

    def test_f11_the_check_before_a_deploy_says_which_sagas_the_code_would_strand(self, shop, old, new):
        """F11"""
        with new.running():
            shop.order()
            consumer.deliver(START)
            call_command("sagas", "check")
        with old.running():
            assert selectors.unknown_to_this_code() == [("fulfil_order", 2, "reserve_stock", 1)]
            with pytest.raises((CommandError, SystemExit)):
                call_command("sagas", "check")

    def test_f11_what_the_old_code_is_asked_about_a_new_saga_it_does_not_guess(self, shop, old, new):
        """F11, I7: a cancel is answered "not now"; a deadline that passes waits for code that knows the way back."""
        with new.running():
            order = shop.order()
            consumer.deliver(START)
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))

        with old.running():
            with pytest.raises(CancelUndecided), transaction.atomic():
                request_cancel(order.pk)
            assert recovery.attend_overdue() == 0

        assert outcome(order) == ("pending", "", "running")
        assert order.cancel_requested_at is None

    @pytest.mark.django_db(transaction=True)
    def test_f11_rings_and_ticks_of_newer_code_are_answered_with_nothing(self, shop, old):
        """F11: a worker of the old code gets them from the same queue."""
        with old.running():
            tasks.deliver("fulfil_order.v2.check_address")
            tasks.run_tick("loyalty.expire_points")
            assert bell.ring(["fulfil_order.v2.check_address"]) == 0

        assert OutboxMessage.objects.count() == 0

    def test_f11_a_newer_version_of_an_event_waits_for_code_that_reads_it(self, shop, old):
        """F11: at a destination that the old code knows; the versions that it knows flow past it."""
        newer, order = shop.order(), shop.order()
        OutboxMessage.objects.filter(aggregate_id=newer.pk).update(type="order.created.v2")

        for _ in range(12):
            old.works()
            time_passes()

        row = OutboxMessage.objects.get(aggregate_id=newer.pk, destination=START)
        assert (row.state, row.attempts) == ("open", 0)
        ended_under(order, 1)
