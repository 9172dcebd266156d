"""What waits, what fails and who is alive, as the live page has it: each figure against rows made for it."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from outbox import consumer, live, pause
from outbox.models import Destination, Heartbeat, OutboxMessage
from tests.support import told

pytestmark = pytest.mark.django_db


def change(*texts: str, **changes) -> None:
    assert OutboxMessage.objects.filter(payload__text__in=texts).update(**changes) == len(texts)


def tell(*texts: str) -> None:
    for text in texts:
        told.tell(text)


def waiting(name: str = told.CONSUMER) -> live.Waiting:
    return {one.destination: one for one in live.waiting()}[name]


class TestWaiting:
    def test_a_known_destination_where_nothing_waits_is_there_with_nothing(self, ledger):
        one = waiting()

        assert (one.open, one.due, one.running, one.failing, one.dead) == (0, 0, 0, 0, 0)
        assert (one.paused, one.drain_seconds) == (None, 0.0)

    def test_each_message_is_counted_as_what_it_is(self, ledger):
        tell("due", "running", "failed", "dead", "done")
        change("running", claimed_at=Now(), due_at=timezone.now() + timedelta(minutes=1))
        change("failed", attempts=2, last_error="broken", due_at=timezone.now() + timedelta(minutes=1))
        change("dead", state="dead")
        change("done", state="done", finished_at=Now())

        one = waiting()

        assert (one.open, one.due, one.running, one.failing, one.dead) == (3, 1, 1, 1, 1)

    def test_the_oldest_age_is_that_of_a_message_whose_time_has_come(self, ledger):
        tell("young", "scheduled")
        change("young", created_at=timezone.now() - timedelta(minutes=2))
        later = timezone.now() + timedelta(hours=1)
        change("scheduled", created_at=timezone.now() - timedelta(hours=5), scheduled_for=later, due_at=later)

        assert waiting().oldest_age_seconds == pytest.approx(120, abs=30)

    def test_a_count_ends_at_its_bound(self, ledger, monkeypatch):
        monkeypatch.setattr(live, "COUNTED_MAX", 2)
        tell("a", "b", "c")

        assert (waiting().open, waiting().due) == (2, 2)

    def test_messages_of_code_that_is_gone_are_seen(self, ledger):
        tell("a", "b")
        change("a", destination="gone.consumer")
        change("b", destination="gone.another", state="dead")

        assert (waiting("gone.consumer").open, waiting("gone.another").dead) == (1, 1)

    def test_a_pause_is_told_with_its_reason_and_without_ids(self, ledger):
        pause.pause_after_failure(told.CONSUMER, reason=f"no answer about {uuid4()}")
        assert waiting().paused == "no answer about …"

        Destination.objects.update(paused_until=timezone.now() - timedelta(minutes=1))
        assert waiting().paused is None


class TestDrain:
    def test_it_is_what_is_due_by_what_was_finished_within_the_last_minute(self, ledger):
        tell(*(f"done {number}" for number in range(20)), *(f"due {number}" for number in range(10)))
        for number in range(20):
            change(f"done {number}", state="done", finished_at=timezone.now() - timedelta(seconds=10 - number / 4))

        one = waiting()

        assert one.per_second == pytest.approx(2.0, rel=0.2)
        assert one.drain_seconds == pytest.approx(5.0, rel=0.2)

    def test_it_is_known_of_messages_that_waited_for_hours(self, ledger):
        """They were published long before they are finished: their keys are as old."""
        tell("done", "due")
        OutboxMessage.objects.update(created_at=timezone.now() - timedelta(hours=7))
        change("done", state="done", finished_at=timezone.now() - timedelta(seconds=5))

        assert waiting().drain_seconds == pytest.approx(5.0, rel=0.2)

    def test_what_other_destinations_finished_does_not_count(self, ledger):
        tell("theirs", "due")
        change("theirs", destination="another", state="done", finished_at=timezone.now() - timedelta(seconds=5))

        assert (waiting().due, waiting().drain_seconds) == (1, None)

    @pytest.mark.parametrize("ago", [timedelta(minutes=2), None])
    def test_it_is_unknown_when_nothing_was_finished_lately(self, ledger, ago):
        tell("done", "due")
        if ago:
            change("done", state="done", finished_at=timezone.now() - ago)

        assert waiting().drain_seconds is None

    def test_it_is_unknown_while_the_destination_is_paused(self, ledger):
        tell("done", "due")
        change("done", state="done", finished_at=timezone.now() - timedelta(seconds=5))
        pause.pause_after_failure(told.CONSUMER, reason="breaker open")

        assert (waiting().per_second is not None, waiting().drain_seconds) == (True, None)


class TestFailures:
    def test_they_are_grouped_by_destination_state_and_the_first_words_of_their_error(self, ledger):
        tell("a", "b", "c", "d", "fine")
        change("a", state="dead", last_error=f"no such order: {uuid4()}")
        change("b", state="dead", last_error=f"no such order: {uuid4()}")
        change("c", attempts=1, last_error=f"no such order: {uuid4()}")
        change("d", attempts=1, last_error="the provider answered 503")

        found = [(one.destination, one.is_dead, one.error, one.count) for one in live.failures()]

        assert found == [
            (told.CONSUMER, True, "no such order: …", 2),
            (told.CONSUMER, False, "no such order: …", 1),
            (told.CONSUMER, False, "the provider answered 503", 1),
        ]

    def test_a_group_says_when_its_messages_were_published(self, ledger):
        tell("old", "new")
        old, new = timezone.now() - timedelta(hours=3), timezone.now() - timedelta(hours=1)
        change("old", state="dead", last_error=f"broken by {uuid4()}", created_at=old)
        change("new", state="dead", last_error=f"broken by {uuid4()}", created_at=new)

        [group] = live.failures()

        assert (group.count, group.first_at, group.last_at) == (2, old, new)

    def test_what_succeeded_is_no_failure(self, ledger):
        tell("a")
        change("a", attempts=1, last_error="broken")
        told.make_due()
        consumer.deliver(told.CONSUMER)

        assert told.states() == {"a": "done"}
        assert live.failures() == []

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            ("", "no error on record"),
            ("HTTP 503 from the carrier", "HTTP 503 from the carrier"),
            ("550 ann@example.org: no such mailbox", "550 … no such mailbox"),
            ("port 127.0.0.1:54321 refused at 20:31", "port … refused at 20:31"),
            ("one two three four five six seven eight nine", "one two three four five six seven eight …"),
        ],
    )
    def test_the_first_words_hold_nothing_that_differs_from_message_to_message(self, error, words):
        assert live.first_words(error) == words


class TestHeartbeats:
    def test_every_process_is_told_with_its_age(self):
        now = timezone.now()
        Heartbeat.objects.create(process="relay@one", kind="relay", seen_at=now - timedelta(seconds=90))
        Heartbeat.objects.create(process="worker@one", kind="worker", seen_at=now)

        assert [(one.kind, one.process) for one in live.heartbeats()] == [
            ("relay", "relay@one"),
            ("worker", "worker@one"),
        ]
        assert live.heartbeats()[0].age_seconds == pytest.approx(90, abs=30)


def test_each_figure_takes_one_statement(ledger, django_assert_num_queries):
    tell("a", "b")
    change("a", state="dead")
    for read in (live.waiting, live.failures, live.heartbeats):
        with django_assert_num_queries(1):
            read()
