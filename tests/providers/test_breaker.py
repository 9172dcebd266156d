"""The breaker's row: shared by all processes, changed by guarded UPDATEs, on the database's clock."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from providers import breaker
from providers.conf import for_provider
from providers.models import Breaker, BreakerState

PROVIDER = "payments"


@pytest.fixture
def provider_limits(limits):
    return for_provider(PROVIDER)


def row() -> Breaker:
    return Breaker.objects.get(provider=PROVIDER)


def open_row(**changes) -> Breaker:
    """An open breaker whose time to retry has come."""
    past = timezone.now() - timedelta(seconds=1)
    fields = {"state": BreakerState.OPEN, "opened_at": past, "retry_at": past, "trips": 1, "epoch": 7} | changes
    return Breaker.objects.create(provider=PROVIDER, **fields)


@pytest.mark.django_db
def test_without_a_row_the_breaker_is_closed():
    reading = breaker.read(PROVIDER)
    assert (reading.state, reading.failures, reading.epoch) == ("closed", 0, 0)
    assert reading.paused_until(elapsed=timedelta(0)) is None


@pytest.mark.django_db
def test_it_opens_at_the_limit_of_failures_in_a_row_and_not_before(provider_limits):
    breaker.count_failures(PROVIDER, failures=2, limits=provider_limits)
    assert (row().state, row().failures) == (BreakerState.CLOSED, 2)
    breaker.count_failures(PROVIDER, failures=1, limits=provider_limits)
    assert (row().state, row().failures, row().trips) == (BreakerState.OPEN, 3, 1)
    assert breaker.read(PROVIDER).paused_until(elapsed=timedelta(0)) == row().retry_at


@pytest.mark.django_db
def test_a_success_forgets_failures_so_only_those_in_a_row_count(provider_limits):
    breaker.count_failures(PROVIDER, failures=2, limits=provider_limits)
    breaker.forget_failures(PROVIDER)
    breaker.count_failures(PROVIDER, failures=2, limits=provider_limits)
    assert row().state == BreakerState.CLOSED


@pytest.mark.django_db
def test_no_trial_before_its_time(provider_limits):
    open_row(retry_at=timezone.now() + timedelta(seconds=60))
    assert breaker.take_trial(PROVIDER, epoch=7, limits=provider_limits) is None
    assert row().state == BreakerState.OPEN


@pytest.mark.django_db(transaction=True)
def test_of_many_callers_at_once_exactly_one_gets_the_trial(provider_limits):
    open_row()
    barrier = threading.Barrier(8)

    def take() -> int | None:
        try:
            barrier.wait()
            return breaker.take_trial(PROVIDER, epoch=7, limits=provider_limits)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        taken = [future.result() for future in [pool.submit(take) for _ in range(8)]]
    assert sorted(taken, key=str) == [8] + [None] * 7
    assert row().state == BreakerState.HALF_OPEN


@pytest.mark.django_db
def test_a_trial_that_succeeds_closes(provider_limits):
    open_row()
    epoch = breaker.take_trial(PROVIDER, epoch=7, limits=provider_limits)
    breaker.close_after_trial(PROVIDER, epoch=epoch)
    assert (row().state, row().failures, row().trips, row().retry_at) == (BreakerState.CLOSED, 0, 0, None)


@pytest.mark.django_db
def test_each_trial_that_fails_opens_for_longer_up_to_the_maximum(provider_limits):
    open_row()
    waits = []
    for _ in range(6):
        epoch = breaker.take_trial(PROVIDER, epoch=row().epoch, limits=provider_limits)
        breaker.open_after_trial(PROVIDER, epoch=epoch, limits=provider_limits)
        waits.append((row().retry_at - breaker.read(PROVIDER).now).total_seconds())
        Breaker.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    assert row().trips == 7
    # 60 s doubled, and up to a quarter of jitter, but never beyond 300 s.
    assert all(100 < wait <= 300 for wait in waits)
    assert all(wait > 290 for wait in waits[2:])


@pytest.mark.django_db
def test_a_trial_of_a_dead_process_is_given_up_by_the_clock_and_its_late_report_changes_nothing(provider_limits):
    open_row()
    dead = breaker.take_trial(PROVIDER, epoch=7, limits=provider_limits)
    assert breaker.take_trial(PROVIDER, epoch=dead, limits=provider_limits) is None
    Breaker.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    heir = breaker.take_trial(PROVIDER, epoch=dead, limits=provider_limits)
    assert heir == dead + 1
    breaker.close_after_trial(PROVIDER, epoch=dead)
    assert row().state == BreakerState.HALF_OPEN


@pytest.mark.django_db
def test_a_pause_asked_for_by_the_provider_holds_whatever_comes_after_it(provider_limits):
    breaker.pause(PROVIDER, seconds=200)
    first = row().retry_at
    breaker.pause(PROVIDER, seconds=1)
    assert (row().state, row().retry_at) == (BreakerState.CLOSED, first)
    assert breaker.read(PROVIDER).paused_until(elapsed=timedelta(0)) == first
    assert breaker.read(PROVIDER).paused_until(elapsed=timedelta(seconds=201)) is None
    breaker.count_failures(PROVIDER, failures=3, limits=provider_limits)
    assert (row().state, row().retry_at) == (BreakerState.OPEN, first)


@pytest.mark.django_db
def test_held_by_hand_it_is_open_and_a_trial_decides(provider_limits):
    breaker.hold(PROVIDER, seconds=30, reason="maintenance")
    assert (row().state, row().reason) == (BreakerState.OPEN, "maintenance")
    Breaker.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    assert breaker.take_trial(PROVIDER, epoch=row().epoch, limits=provider_limits) is not None


@pytest.mark.django_db
def test_while_somebody_tries_others_look_again_soon_instead_of_waiting_for_the_lease(provider_limits):
    open_row(state=BreakerState.HALF_OPEN, retry_at=timezone.now() + timedelta(seconds=600))
    reading = breaker.read(PROVIDER)
    assert reading.paused_until(elapsed=timedelta(0)) == reading.now + breaker.LOOK_AGAIN


@pytest.mark.django_db
def test_an_open_breaker_without_a_time_to_retry_is_refused_by_postgres():  # I11
    with pytest.raises(IntegrityError, match="breaker_not_closed_has_a_time_to_retry"):
        open_row(retry_at=None)


@pytest.mark.django_db
def test_an_unknown_state_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match="breaker_state_is_known"):
        open_row(state="ajar")
