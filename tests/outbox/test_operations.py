"""Operator verbs and upkeep: what each changes, what it leaves alone, and that a second click finds it done."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from outbox import consumer, operations
from outbox.models import InboxMessage, OperatorAct, OutboxMessage
from outbox.publisher import Command, publish_commands
from tests.support.threads import in_thread
from tests.support.told import CONSUMER, claim, make_due, row, states, tell, waits_seconds

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]
LONG_AGO = "now() - interval '8 days'"


def dead(text, **options):
    tell(text, **options)
    OutboxMessage.objects.filter(payload__text=text).update(state="dead", attempts=10, last_error="broken")
    return row(text).key


def ended(text, state="done"):
    tell(text)
    with connection.cursor() as cursor:
        # Its key is as old as its end.
        cursor.execute(
            f"UPDATE outbox_outboxmessage SET state = %s, finished_at = {LONG_AGO}, key = %s"
            " WHERE payload->>'text' = %s",
            [state, f"00000000-0000-7000-8000-{uuid4().hex[:12]}", text],
        )


def step_due(saga_id):
    command = Command(
        destination=CONSUMER,
        type="saga.step_due.v1",
        aggregate_type="saga",
        aggregate_id=saga_id,
        correlation_id=saga_id,
    )
    with transaction.atomic():
        publish_commands([command])
    return OutboxMessage.objects.get(message_id=command.message_id)


class TestRequeue:
    def test_a_dead_message_and_its_followers_are_due_again(self, ledger):
        order = uuid4()
        key = dead("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        operations.park()
        assert 290 < waits_seconds(row("second")) <= 300

        assert operations.requeue([key], who=None, reason="fixed") == 1

        again = row("first")
        assert (again.state, again.attempts, again.last_error) == ("open", 0, "broken")
        assert (again.died_at, again.error_fingerprint) == (None, "")
        consumer.deliver(CONSUMER)
        consumer.deliver(CONSUMER)
        assert ledger.texts == ["first", "second"]

    def test_f14_a_second_click_finds_it_done_and_leaves_one_act(self):
        """F14: one act, one audit row."""
        person = User.objects.create(username="operator")
        key = dead("a")

        assert operations.requeue([key], who=person, reason="fixed") == 1
        assert operations.requeue([key], who=person, reason="fixed") == 0

        [act] = OperatorAct.objects.all()
        assert (act.who, act.verb, act.target_id, act.reason) == (person, "requeue", str(key), "fixed")

    def test_what_was_sent_is_sent_again_only_when_asked_for(self, ledger):
        tell("a")
        consumer.deliver(CONSUMER)
        key = row("a").key

        assert operations.requeue([key], who=None, reason="again") == 0
        assert operations.requeue([key], who=None, reason="again", sent=True) == 1
        assert states() == {"a": "open"}

    def test_it_needs_a_reason(self):
        key = dead("a")

        with pytest.raises(ValueError, match="reason"), transaction.atomic():
            operations.requeue([key], who=None, reason="  ")
        assert states() == {"a": "dead"}
        with pytest.raises(IntegrityError, match="an_operator_act_has_a_reason"):
            OperatorAct.objects.create(verb="x", target_type="x", target_id="x", reason="")

    def test_a_sagas_message_is_the_sagas_own_business(self):
        """Requeued, it would find its saga waiting for another one, or stand beside it (I6)."""
        saga_id = uuid4()
        old = step_due(saga_id)
        OutboxMessage.objects.update(state="dead")
        step_due(saga_id)

        assert operations.requeue([old.key], who=None, reason="by hand") == 0
        assert OutboxMessage.objects.filter(state="open").count() == 1

    def test_i6_postgres_refuses_a_second_open_message_per_saga(self):
        """I6: one runner per saga step at a time."""
        saga_id = uuid4()
        step_due(saga_id)

        with pytest.raises(IntegrityError, match="one_open_message_per_saga"):
            step_due(saga_id)


class TestSkip:
    def test_a_skipped_head_lets_its_followers_go(self, ledger):
        order = uuid4()
        key = dead("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        operations.park()

        assert operations.skip([key], who=None, reason="wrong") == 1
        assert operations.skip([key], who=None, reason="wrong") == 0

        consumer.deliver(CONSUMER)
        assert ledger.texts == ["second"]
        assert states() == {"first": "skipped", "second": "done"}
        act = OperatorAct.objects.get()
        assert act.detail["correlation_id"] == str(OutboxMessage.objects.get(key=key).correlation_id)
        assert (act.detail["destination"], act.detail["type"]) == (CONSUMER, OutboxMessage.objects.get(key=key).type)

    def test_a_scheduled_follower_keeps_its_own_time(self):
        order = uuid4()
        key = dead("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2, scheduled_for=timezone.now() + timedelta(hours=1))

        operations.skip([key], who=None, reason="wrong")

        assert 3_500 < waits_seconds(row("second")) <= 3_600

    def test_the_open_message_of_a_saga_cannot_be_skipped_behind_its_back(self):
        key = step_due(uuid4()).key

        assert operations.skip([key], who=None, reason="by hand") == 0
        assert OutboxMessage.objects.get().state == "open"


class TestPark:
    def test_what_waits_behind_a_dead_head_is_parked_and_others_are_not(self):
        order = uuid4()
        dead("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        tell("third", aggregate_id=order, sequence=3)
        tell("other")

        assert operations.park() == 2
        assert operations.park() == 0

        assert 290 < waits_seconds(row("second")) <= 300
        assert waits_seconds(row("other")) <= 0

    def test_what_waits_behind_a_head_that_backs_off_waits_as_long_as_it_does(self, ledger):
        from outbox.exceptions import RetryLater

        order = uuid4()
        tell("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        ledger.raises["first"] = RetryLater(timedelta(seconds=40))
        consumer.deliver(CONSUMER)

        assert operations.park() == 1

        assert row("second").due_at == row("first").due_at

    def test_what_waits_behind_a_head_at_work_is_not_parked(self):
        """Its due_at is the end of its claim; it will be done long before."""
        order = uuid4()
        tell("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        [message] = claim()

        assert operations.park() == 0

        OutboxMessage.objects.all().finish([message])
        assert [m.payload["text"] for m in claim()] == ["second"]

    def test_one_sweep_is_bounded_and_the_next_goes_on(self, monkeypatch):
        monkeypatch.setattr(operations, "PARK_MAX", 2)
        order = uuid4()
        dead("first", aggregate_id=order, sequence=1)
        for number in (2, 3, 4):
            tell(str(number), aggregate_id=order, sequence=number)

        assert [operations.park() for _ in range(3)] == [2, 1, 0]


class TestBurySpent:
    def test_f9_a_message_whose_process_dies_each_time_is_buried_alone_after_ten_attempts(self, ledger):
        """F9: attempts are counted before the work, so a killer ends up dead, alone."""
        tell("killer")
        tell("victim")
        claim()
        for _ in range(9):
            make_due()
            [killer] = [m for m in claim() if m.payload["text"] == "killer"] or claim()
            assert killer.payload["text"] == "killer"
            OutboxMessage.objects.filter(payload__text="victim").update(due_at=timezone.now() + timedelta(hours=1))
        make_due()
        assert row("killer").attempts == 10

        assert operations.bury_spent() == 1
        while consumer.deliver(CONSUMER):
            pass

        assert states() == {"killer": "dead", "victim": "done"}
        assert row("killer").last_error.startswith("10 attempts ended without an answer")
        assert ledger.texts == ["victim"]

    def test_f9_the_reason_is_the_silence_and_not_the_error_of_a_batch_it_was_part_of(self):
        """F9: dead with its reason."""
        tell("killer")
        an_hour_ago = timezone.now() - timedelta(hours=1)
        OutboxMessage.objects.update(attempts=10, last_error="MemoryError", claimed_at=an_hour_ago)

        assert operations.bury_spent() == 1

        assert row("killer").last_error == (
            "the last of 10 attempts ended without an answer: its process died or hung; an earlier one: MemoryError"
        )

    def test_the_reason_of_one_that_was_given_back_is_what_it_was_given_back_with(self):
        tell("a")
        OutboxMessage.objects.update(attempts=10, last_error="cut", claimed_at=None)

        assert operations.bury_spent() == 1

        assert row("a").last_error == "cut"

    def test_a_last_attempt_under_way_is_left_in_peace(self):
        tell("a")
        OutboxMessage.objects.update(attempts=9)
        [message] = claim()

        assert operations.bury_spent() == 0
        assert OutboxMessage.objects.all().finish([message]) == [message]


class TestSagaMessages:
    def test_hasten_makes_a_waiting_message_due_and_leaves_one_at_work_alone(self):
        waiting = step_due(uuid4())
        OutboxMessage.objects.update(due_at=timezone.now() + timedelta(hours=1))

        assert operations.hasten(waiting.message_id)
        assert not operations.hasten(waiting.message_id)
        claim(types=None)
        assert not operations.hasten(waiting.message_id)

    def test_i6_withdraw_fences_off_whoever_is_at_work(self):
        """I6: an operator's verb replaces the message; the runner's claim is stale."""
        message = step_due(uuid4())
        [claimed] = claim(types=None)

        operations.withdraw(message.message_id)

        assert OutboxMessage.objects.all().finish([claimed]) == []
        assert OutboxMessage.objects.get().state == "skipped"
        assert not operations.hold_open(message.message_id)


@pytest.mark.django_db(transaction=True)
def test_a_sweep_parks_nothing_behind_a_head_that_is_being_made_due():
    """It would wait for minutes behind a head that is done at once: requeue had looked for followers before."""
    order = uuid4()
    key = dead("first", aggregate_id=order, sequence=1)
    tell("second", aggregate_id=order, sequence=2)
    with transaction.atomic():
        operations.requeue([key], who=None, reason="fixed")
        assert in_thread(operations.park).result(10) == 0

    assert operations.park() == 0
    assert waits_seconds(row("second")) <= 0


class TestPurge:
    def test_i14_s18_only_what_has_ended_long_ago_goes(self):
        """I14, S18: undelivered rows never expire and are never purged by age."""
        for text, state in (("done", "done"), ("skipped", "skipped")):
            ended(text, state)
        tell("open")
        dead("dead")
        tell("young")
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE outbox_outboxmessage SET created_at = {LONG_AGO}")
            cursor.execute(
                "UPDATE outbox_outboxmessage SET state = 'done', finished_at = now() WHERE payload->>'text' = 'young'"
            )

        assert operations.purge(dry_run=True) == 2
        assert operations.purge(batch_size=1) == 2
        assert operations.purge() == 0

        assert states() == {"open": "open", "dead": "dead", "young": "done"}

    def test_the_unfinished_survive_whatever_age_is_asked_for(self):
        """I14"""
        tell("open")
        dead("dead")

        operations.purge(older_than=timedelta(seconds=-60))

        assert states() == {"open": "open", "dead": "dead"}

    def test_i14_f6_a_host_whose_clock_is_ahead_purges_nothing_young(self, monkeypatch):
        """I14, F6: ages are told by the database's clock alone."""
        tell("young")
        consumer.deliver(CONSUMER)
        ahead = datetime.now(UTC) + timedelta(days=20)
        monkeypatch.setattr("django.utils.timezone.now", lambda: ahead)

        assert (operations.purge(), operations.purge_inbox()) == (0, 0)

        assert (states(), InboxMessage.objects.count()) == ({"young": "done"}, 1)

    @pytest.mark.parametrize("planner", [(), ("hashjoin", "mergejoin", "hashagg", "sort", "material")])
    def test_a_purge_of_so_many_batches_leaves_the_rest_to_the_next(self, planner):
        """However Postgres chooses to join: a nested loop asks a sub-select anew for every row."""
        for text in "abcde":
            ended(text)
        with connection.cursor() as cursor:
            for kind in planner:
                cursor.execute(f"SET LOCAL enable_{kind} = off")

        assert [operations.purge(batch_size=2, batches=2) for _ in range(3)] == [4, 1, 0]
