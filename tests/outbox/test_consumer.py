"""One ring, one claim, one transaction: what a consumer's batch guarantees."""

from datetime import timedelta
from uuid import uuid4

import psycopg.errors
import pytest
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone

from outbox import consumer as consumers
from outbox import operations, telemetry
from outbox.exceptions import Hopeless, RetryLater
from outbox.models import Destination, InboxMessage, OutboxMessage
from tests.support.crash import Crash, crash_after
from tests.support.told import CONSUMER, claim, consuming, make_due, row, states, tell, waits_seconds


@pytest.mark.django_db
class TestDeliver:
    def test_takes_everything_due_as_one_batch(self, ledger):
        for text in "abc":
            tell(text)

        assert consumers.deliver(CONSUMER) == 3

        assert ledger.batches == [["a", "b", "c"]]
        assert set(OutboxMessage.objects.values_list("state", "attempts")) == {("done", 1)}
        assert InboxMessage.objects.count() == 3

    def test_keeps_the_order_of_one_aggregate_even_when_the_head_fails(self, ledger):
        order = uuid4()
        tell("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        ledger.raises["first"] = RetryLater(timedelta(hours=1))

        consumers.deliver(CONSUMER)
        consumers.deliver(CONSUMER)

        assert ledger.batches == [["first"]]
        assert OutboxMessage.objects.get(sequence=1).attempts == 0

    def test_repeats_a_batch_that_raised_one_by_one(self, ledger):
        for text in "abc":
            tell(text)
        ledger.raises["b"] = RuntimeError("broken")

        while consumers.deliver(CONSUMER):
            pass

        assert ledger.batches == [["a", "b", "c"], ["a"], ["b"], ["c"]]
        failed = OutboxMessage.objects.get(payload__text="b")
        assert (failed.state, failed.attempts, failed.last_error) == ("open", 2, "RuntimeError: broken")
        assert OutboxMessage.objects.filter(state="done").count() == 2
        assert InboxMessage.objects.count() == 2

    def test_buries_a_hopeless_message_at_once(self, ledger):
        tell("never")
        ledger.raises["never"] = Hopeless("no such order")

        consumers.deliver(CONSUMER)

        row = OutboxMessage.objects.get()
        assert (row.state, row.attempts, row.last_error) == ("dead", 1, "Hopeless: no such order")

    def test_buries_a_message_after_ten_attempts(self, ledger):
        """S5: a hopeless row stops after its attempts and is visible."""
        tell("spent")
        ledger.raises["spent"] = RuntimeError("broken")

        for _ in range(12):
            make_due()
            consumers.deliver(CONSUMER)

        assert len(ledger.batches) == 10
        assert OutboxMessage.objects.get().state == "dead"

    def test_ignores_what_it_has_handled_before(self, ledger):
        tell("once")
        consumers.deliver(CONSUMER)
        OutboxMessage.objects.update(state="open", finished_at=None, attempts=0, due_at="2020-01-01T00:00:00Z")

        consumers.deliver(CONSUMER)

        assert ledger.batches == [["once"]]
        assert OutboxMessage.objects.get().state == "done"

    def test_leaves_a_scheduled_message_until_its_time(self, ledger):
        tell("later", scheduled_for=timezone.now() + timedelta(hours=1))

        assert consumers.deliver(CONSUMER) == 0
        assert ledger.batches == []


@pytest.mark.django_db
class TestOneTransaction:
    def test_s8_a_crash_after_the_inbox_insert_loses_nothing(self, ledger, monkeypatch):
        """S8: finish, inbox row and effect commit together or not at all."""
        tell("a")
        monkeypatch.setattr("outbox.consumer.begin", crash_after(consumers.begin))

        with pytest.raises(Crash):
            consumers.deliver(CONSUMER)
        assert (ledger.batches, InboxMessage.objects.count(), states()) == ([], 0, {"a": "open"})

        make_due()
        consumers.deliver(CONSUMER)
        assert (ledger.texts, states()) == (["a"], {"a": "done"})

    def test_i5_a_second_delivery_has_no_second_effect(self, ledger):
        """I5: one effect per consumer and message, even of one that is sent again by hand."""
        tell("a")
        consumers.deliver(CONSUMER)
        before = telemetry.INBOX_DUPLICATES.labels(CONSUMER)._value.get()

        assert operations.requeue([row("a").key], who=None, reason="to see", sent=True) == 1
        consumers.deliver(CONSUMER)

        assert (ledger.texts, states()) == (["a"], {"a": "done"})
        assert telemetry.INBOX_DUPLICATES.labels(CONSUMER)._value.get() == before + 1

    def test_i5_two_consumers_of_one_event_handle_it_once_each(self, ledger):
        """I5: the inbox is kept per consumer."""
        other = consuming(type(ledger)(), "test.other")
        tell("a")

        for name in (CONSUMER, "test.other", CONSUMER, "test.other"):
            consumers.deliver(name)

        assert (ledger.texts, other.texts) == (["a"], ["a"])

    def test_i6_what_another_claim_took_over_is_left_out_of_the_batch(self, ledger, monkeypatch):
        """I6: a frozen worker wakes up after its claim; the one that took over has its effect, once."""
        tell("a")
        tell("b")
        frozen = claim()
        make_due()
        consumers.deliver(CONSUMER)
        consumers.deliver(CONSUMER)
        assert sorted(ledger.texts) == ["a", "b"]

        consumers.handle(consumers.routing.inside(CONSUMER), frozen, ledger)

        assert sorted(ledger.texts) == ["a", "b"]

    def test_what_an_effect_publishes_is_undone_with_it(self, rings):
        def effect(messages):
            if messages[0].payload["text"] == "cause":
                tell("consequence")
                raise RuntimeError

        consuming(effect)
        tell("cause")

        consumers.deliver(CONSUMER)

        assert states() == {"cause": "open"}

    def test_what_an_effect_publishes_names_its_cause_and_is_rung(self, rings):
        def effect(messages):
            if messages[0].payload["text"] == "cause":
                tell("consequence")

        consuming(effect)
        message_id = tell("cause")
        del rings[:]

        consumers.deliver(CONSUMER)

        assert row("consequence").headers["causationId"] == str(message_id)
        assert rings == [CONSUMER]


@pytest.mark.django_db
class TestFailure:
    @pytest.mark.parametrize("trouble", ["DeadlockDetected", "LockNotAvailable", "AdminShutdown"])
    def test_trouble_of_the_database_is_tried_again_alone_and_later(self, ledger, trouble):
        for text in "ab":
            tell(text)
        ledger.raises["a"] = OperationalError("gone")
        ledger.raises["a"].__cause__ = getattr(psycopg.errors, trouble)()

        consumers.deliver(CONSUMER)
        assert set(OutboxMessage.objects.values_list("state", "attempts")) == {("open", 1)}
        del ledger.raises["a"]
        while consumers.deliver(CONSUMER):
            pass

        assert ledger.batches == [["a", "b"], ["a"], ["b"]]
        assert set(states().values()) == {"done"}

    def test_s5_a_message_that_always_costs_the_connection_ends_and_its_neighbours_are_done(self, ledger):
        """S5: an attempt that were given back without end would never let it die, nor the rest of its batch through."""
        for text in "abc":
            tell(text)
        ledger.raises["b"] = OperationalError("server closed the connection unexpectedly")

        for _ in range(20):
            make_due()
            consumers.deliver(CONSUMER)

        assert states() == {"a": "done", "b": "dead", "c": "done"}
        assert row("b").attempts == 10
        assert len(ledger.batches) == 12

    def test_a_statement_that_took_too_long_is_the_messages_own(self, ledger):
        def effect(messages):
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(1)")

        consuming(effect, "test.slow")
        tell("a")

        consumers.deliver("test.slow")

        slow = OutboxMessage.objects.get(destination="test.slow")
        assert (slow.attempts, slow.state) == (1, "open")
        assert slow.last_error.startswith("OperationalError: canceling statement")

    def test_an_error_of_sql_does_not_keep_the_rest_of_the_batch_from_its_effect(self, rings):
        done = []

        def effect(messages):
            for message in messages:
                if message.payload["text"] == "bad":
                    connection.cursor().execute("SELECT 1/0")
                done.append(message.payload["text"])

        consuming(effect)
        for text in ("a", "bad", "b"):
            tell(text)
        while consumers.deliver(CONSUMER):
            pass

        assert states() == {"a": "done", "bad": "open", "b": "done"}
        assert done == ["a", "a", "b"]
        assert issubclass(DatabaseError, Exception)

    def test_s7_a_failed_row_keeps_its_identity_and_its_history(self, ledger):
        """S7: backoff has jitter; a failed row keeps identity, attempts and its last error."""
        message_id = tell("a")
        key = row("a").key
        ledger.raises["a"] = RuntimeError("first\x00 line\nsecond")

        consumers.deliver(CONSUMER)

        failed = row("a")
        assert (failed.key, failed.message_id, failed.attempts, failed.epoch) == (key, message_id, 1, 1)
        assert failed.last_error == "RuntimeError: first line second"
        assert failed.claimed_at is None
        assert waits_seconds(failed) <= 2

        ledger.raises["a"] = RetryLater(timedelta(seconds=5))
        make_due()
        consumers.deliver(CONSUMER)
        assert row("a").attempts == 1

    def test_an_orderly_retry_gives_the_attempt_back(self, ledger):
        tell("a")
        ledger.raises["a"] = RetryLater(timedelta(hours=1), "not yet")

        for _ in range(15):
            make_due()
            consumers.deliver(CONSUMER)

        assert (row("a").attempts, row("a").state) == (0, "open")
        assert 3_500 < waits_seconds(row("a")) <= 3_600

    def test_a_dead_message_is_told_to_whoever_subscribes(self, ledger, outside):
        outside(ops={"BACKEND": "outbox.transports.console.ConsoleTransport", "TYPES": ["message.*"]})
        message_id = tell("never")
        ledger.raises["never"] = Hopeless("no such order")

        consumers.deliver(CONSUMER)

        [event] = OutboxMessage.objects.filter(destination="ops")
        assert event.type == "message.dead.v1"
        assert event.payload["messageId"] == str(message_id)
        assert event.payload["reason"] == "Hopeless: no such order"

    def test_a_reason_that_postgres_would_refuse_is_stored_and_told_without_what_it_refuses(self, ledger, outside):
        outside(ops={"BACKEND": "outbox.transports.console.ConsoleTransport", "TYPES": ["message.*"]})
        tell("never")
        ledger.raises["never"] = Hopeless("bad\x00byte, half a pair \ud800, " + "x" * 2_000)

        consumers.deliver(CONSUMER)

        dead = row("never")
        assert (dead.state, dead.last_error[:38]) == ("dead", "Hopeless: bad byte, half a pair ?, xxx")
        assert len(dead.last_error) == 1_000
        assert OutboxMessage.objects.get(destination="ops").payload["reason"] == dead.last_error


@pytest.mark.django_db
def test_a_paused_destination_claims_nothing(ledger):
    Destination.objects.create(name=CONSUMER, paused_until=timezone.now() + timedelta(minutes=1))
    tell("a")

    assert consumers.deliver(CONSUMER) == 0
    assert (row("a").attempts, ledger.batches) == (0, [])


@pytest.mark.django_db
def test_s16_a_scheduled_message_waits_and_a_hopeless_one_never_loops(ledger):
    """S16, as far as it concerns destinations inside."""
    tell("later", scheduled_for=timezone.now() + timedelta(hours=1))
    tell("never")
    ledger.raises["never"] = Hopeless("never")

    for _ in range(5):
        consumers.deliver(CONSUMER)

    assert ledger.batches == [["never"]]
    assert states() == {"later": "open", "never": "dead"}
