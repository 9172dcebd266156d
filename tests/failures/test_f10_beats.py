"""F10: two beats, no beat for an hour, beat late: harmless; the relay and the workers also sweep, so beat is no single
point of failure (one alone of beat and relay: tests/acceptance).
"""

import os
import signal
from collections import Counter

import pytest
from django.db import connection

from outbox import periodic, tasks
from outbox.models import OutboxMessage
from tests.acceptance import books, crowd
from tests.support.drive import drive
from tests.support.shop import outcome, stock
from tests.support.threads import at_once

from .rest import assert_all_is_well

TICKS = {work.name for work in periodic.registered()}


@pytest.fixture
def runs(monkeypatch):
    """How often each tick of the service ran."""
    counted = Counter()

    def counting(work):
        def run():
            counted[work.name] += 1
            return work.run()

        return periodic.PeriodicWork(name=work.name, every=work.every, run=run)

    monkeypatch.setattr(periodic, "_registered", {work.name: counting(work) for work in periodic.registered()})
    return counted


def an_hour_passes():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_tick SET ran_at = ran_at - interval '1 hour'")


@pytest.mark.django_db(transaction=True)
class TestTwo:
    def test_f10_two_beats_and_two_relays_run_each_tick_once(self, runs):
        """F10: of four clocks that tick at the same moment one does the work."""
        for name in sorted(TICKS):
            at_once(*[lambda name=name: tasks.run_tick(name)] * 4)

        assert runs == dict.fromkeys(TICKS, 1)


@pytest.mark.django_db
class TestNoneAndLate:
    def test_f10_after_an_hour_without_beat_each_tick_runs_once_and_not_once_per_interval(self, runs):
        """F10: nothing is caught up that one run does not do."""
        periodic.run_due()
        an_hour_passes()

        assert periodic.run_due() == len(TICKS)
        assert periodic.run_due() == 0
        assert runs == dict.fromkeys(TICKS, 2)

    @pytest.mark.django_db(transaction=True)
    def test_f10_hundreds_of_late_ticks_at_once_find_their_work_done(self, runs):
        """F10: beat hung for an hour, and the broker kept every tick that it sent before."""
        periodic.run_due()
        with connection.cursor() as cursor:  # however slow this machine is, all of this is one moment
            cursor.execute("UPDATE outbox_tick SET ran_at = now() + interval '1 minute'")

        for _ in range(100):
            for name in TICKS:
                tasks.run_tick(name)

        assert runs == dict.fromkeys(TICKS, 1)

    def test_f10_orders_end_without_any_tick(self, shop):
        """F10: rings by the workers alone carry an order from its start to its end."""
        order = shop.order()

        drive(waits=False)

        assert outcome(order) == ("confirmed", "", "completed")
        assert stock() == (9, 0)

    def test_f10_every_tick_twice_in_a_row_in_mid_order_changes_nothing(self, shop, runs):
        """F10: every tick is safe to repeat."""
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "unavailable")

        for _ in range(2):
            an_hour_passes()
            periodic.run_due()
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert OutboxMessage.objects.exclude(state="done").count() == 0
        assert (shop.provider.asked("charge"), len(shop.provider.happened("create"))) == (1, 1)


@pytest.mark.proof
def test_f10_two_beats_that_freeze_wake_late_and_die_under_orders(service):
    """F10, F6: no order waits for beat, and none is hurt by what beat makes up for."""
    service.start("sandbox", "web", "relay", "worker", "remote-worker", "beat", "beat-2")
    placed = crowd.place_all(service, 8)
    beats = [service.stack.programs[name].pid for name in ("beat", "beat-2")]
    for pid in beats:
        os.killpg(pid, signal.SIGSTOP)
    placed += crowd.place_all(service, 8)
    service.wait_until(lambda: books.still_under_way() == 0, within_seconds=90, what="the end of every order")
    for pid in beats:
        os.killpg(pid, signal.SIGCONT)
    placed += crowd.place_all(service, 8)
    service.kill("beat", "beat-2")
    placed += crowd.place_all(service, 8)

    assert_all_is_well(service)

    assert len(set(placed)) == 32
    assert books.ends() == {end: 4 * count for end, count in crowd.expected_ends(8).items()}
