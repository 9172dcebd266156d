"""Beat's memory of when each tick was last due is told by its own clock, which may be put back (F6)."""

from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery, beat

from orders_project import celery_beat
from orders_project.celery import app as orders

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
EVERY = {"often": 2.0, "daily": 86_400.0}


class Clock:
    """What time Celery believes it is."""

    def __init__(self):
        self.now = NOW

    def ticks(self, scheduler, *, seconds):
        """The names sent within so many seconds of this clock, as beat's own loop asks for them."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            pause = scheduler.tick()
            self.now += timedelta(seconds=min(max(pause, 0.001), seconds))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(tmp_path, clock, monkeypatch):
    """Starts a scheduler of this class over one file; what it sends is kept in `scheduler.sent`."""
    monkeypatch.setattr(Celery, "now", lambda app: clock.now)
    schedulers = []

    def started(kind):
        app = Celery("clock", set_as_current=False)
        app.conf.update(timezone="UTC", result_expires=None)
        app.conf.beat_schedule = {name: {"task": name, "schedule": every} for name, every in EVERY.items()}
        scheduler = kind(app, schedule_filename=str(tmp_path / "schedule"))
        schedulers.append(scheduler)
        scheduler.sent = []
        scheduler.producer = None
        scheduler.apply_entry = lambda entry, producer=None: scheduler.sent.append(entry.name)
        return scheduler

    yield started
    for scheduler in schedulers:
        scheduler.close()


def test_the_service_uses_it():
    assert orders.conf.beat_scheduler == "orders_project.celery_beat:Scheduler"


def test_f6_a_file_from_an_hour_ahead_costs_a_tick_no_more_than_its_interval(start, clock):
    first = start(celery_beat.Scheduler)
    clock.ticks(first, seconds=10)
    first.close()
    clock.now -= timedelta(hours=1)

    second = start(celery_beat.Scheduler)
    clock.ticks(second, seconds=10)

    assert set(second.sent) == {"often"}
    assert len(second.sent) in {4, 5}


def test_f6_a_clock_that_is_put_back_under_a_running_beat_costs_no_more_either(start, clock):
    scheduler = start(celery_beat.Scheduler)
    clock.ticks(scheduler, seconds=10)
    scheduler.sent.clear()
    clock.now -= timedelta(hours=1)

    clock.ticks(scheduler, seconds=10)

    assert set(scheduler.sent) == {"often"}
    assert len(scheduler.sent) in {4, 5}


def test_celerys_own_scheduler_would_be_silent_until_the_old_time_comes_round(start, clock):
    """Why there is one of ours; when this fails, Celery has learned it and ours can go."""
    scheduler = start(beat.PersistentScheduler)
    clock.ticks(scheduler, seconds=10)
    scheduler.sent.clear()
    clock.now -= timedelta(hours=1)

    clock.ticks(scheduler, seconds=10)

    assert scheduler.sent == []


def test_a_clock_that_goes_on_as_clocks_do_loses_no_memory(start, clock):
    first = start(celery_beat.Scheduler)
    clock.ticks(first, seconds=10)
    first.close()
    clock.now += timedelta(hours=23, minutes=59, seconds=55)

    second = start(celery_beat.Scheduler)
    clock.ticks(second, seconds=1)

    assert second.sent.count("daily") == 1
