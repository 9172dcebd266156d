"""Ticks: at most one run per interval, however many clocks tick."""

from datetime import timedelta

import pytest
from django.db import connection

from outbox import periodic, tasks
from tests.support.threads import at_once


@pytest.fixture
def work(monkeypatch):
    monkeypatch.setattr(periodic, "_registered", {})
    runs = []
    periodic.tick("test.tick", every=timedelta(seconds=60))(lambda: runs.append(1))
    return runs


def an_interval_passes():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_tick SET ran_at = ran_at - interval '61 seconds'")


@pytest.mark.django_db
class TestRun:
    def test_once_per_interval(self, work):
        assert [periodic.run("test.tick") for _ in range(3)] == [True, False, False]
        an_interval_passes()
        assert periodic.run("test.tick")
        assert len(work) == 2

    def test_beat_that_comes_a_hair_early_still_finds_its_work_due(self, work):
        periodic.run("test.tick")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE outbox_tick SET ran_at = ran_at - interval '50 seconds'")

        assert periodic.run("test.tick")

    @pytest.mark.django_db(transaction=True)
    def test_one_that_raises_leaves_the_others_alone(self, work):
        periodic.tick("test.broken", every=timedelta(seconds=60))(lambda: 1 / 0)
        periodic.tick("test.last", every=timedelta(seconds=60))(lambda: work.append(2))

        assert periodic.run_due() == 2
        assert work == [1, 2]

    def test_those_named_are_left_to_somebody_else(self, work):
        assert periodic.run_due(besides={"test.tick"}) == 0
        assert work == []

    def test_which_are_due_is_asked_for_all_at_once(self, work, django_assert_num_queries):
        for number in range(5):
            periodic.tick(f"test.another_{number}", every=timedelta(seconds=60))(lambda: None)
        periodic.run_due()

        with django_assert_num_queries(1):
            assert periodic.run_due() == 0

    @pytest.mark.django_db(transaction=True)
    def test_the_task_ignores_a_tick_of_another_version_but_hides_no_error(self, work):
        periodic.tick("test.broken", every=timedelta(seconds=60))(lambda: {}["missing"])

        tasks.run_tick("of.another.version")
        with pytest.raises(KeyError, match="missing"):
            tasks.run_tick("test.broken")


@pytest.mark.django_db(transaction=True)
def test_f10_two_beats_at_the_same_moment_run_it_once(work):
    """F10: two beats, or a beat and a relay, are harmless."""
    ran = at_once(*[lambda: periodic.run("test.tick")] * 4)

    assert sorted(ran) == [False, False, False, True]
    assert len(work) == 1


def test_the_outbox_has_its_upkeep_registered():
    """S21: beat alone is enough, and so is the relay: both run these."""
    names = {work.name for work in periodic.registered()}

    assert {"outbox.relay", "outbox.park", "outbox.bury_spent", "outbox.purge", "sagas.sweep"} <= names
