"""Remote work in three phases over one claim: noted before the call, called without the database, recorded after it."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from outbox import consumer, heartbeat, remote, routing
from outbox.exceptions import CallOverstayed
from outbox.models import Destination, InboxMessage, OutboxMessage
from tests.outbox.remote_work import NAME, NeverMade
from tests.support.crash import Crash, crash_after, crash_before
from tests.support.told import make_due, row, states, tell


def deliver():
    return consumer.deliver(NAME)


@pytest.mark.django_db
class TestPhases:
    def test_what_is_due_is_noted_together_called_and_recorded(self, work):
        for text in "abc":
            tell(text)

        assert deliver() == 3

        assert work.noted == [["a", "b", "c"]]
        assert sorted(work.called) == ["a", "b", "c"]
        assert sorted(work.recorded) == [(text, "ok", True, False) for text in "abc"]
        assert set(states().values()) == {"done"}
        assert InboxMessage.objects.count() == 3
        assert (work.the_gate.taken, work.the_gate.observed) == (0, ["ok"] * 3)

    def test_a_claim_lasts_as_long_as_a_remote_one(self, work):
        assert routing.inside(NAME).claim_time == timedelta(seconds=30)

    def test_no_more_is_claimed_than_there_are_slots(self, work):
        """A message that waited for a slot would outlive its claim."""
        work.the_gate.slots = 2
        for number in range(7):
            tell(str(number))

        assert deliver() == 7

        assert max(len(batch) for batch in work.noted) <= 2
        assert work.the_gate.most == 2
        assert set(OutboxMessage.objects.values_list("attempts", "state")) == {(1, "done")}

    def test_a_message_that_needs_no_call_is_done_in_the_first_phase(self, work):
        work.needs_no_call = {"b"}
        tell("a")
        tell("b")

        deliver()

        assert work.called == ["a"]
        assert states() == {"a": "done", "b": "done"}
        assert InboxMessage.objects.count() == 2

    def test_what_a_call_raised_is_an_answer(self, work):
        def refuse():
            raise ValueError("no")

        work.calls["a"] = refuse
        tell("a")

        deliver()

        [(intent, result, mine, _)] = work.recorded
        assert (intent, type(result), mine) == ("a", ValueError, True)
        assert states() == {"a": "done"}

    def test_an_intent_that_cannot_be_noted_makes_no_call(self, work, monkeypatch):
        monkeypatch.setattr(work, "note", lambda messages: 1 / 0)
        tell("a")

        deliver()

        assert (work.called, row("a").state, row("a").attempts) == ([], "open", 1)
        assert row("a").last_error.startswith("ZeroDivisionError")
        assert work.the_gate.taken == 0

    def test_an_answer_that_cannot_be_recorded_costs_only_itself(self, work):
        work.raises_on = {"b"}
        for text in "abc":
            tell(text)

        deliver()

        assert states() == {"a": "done", "b": "open", "c": "done"}
        assert sorted(intent for intent, *_ in work.recorded) == ["a", "c"]
        # Told to the breaker once, however often it was recorded.
        assert len(work.the_gate.observed) == 3


@pytest.mark.django_db
class TestCrash:
    def test_a_crash_before_the_intents_commit_makes_no_call(self, work, monkeypatch):
        monkeypatch.setattr(work, "note", crash_after(work.note))
        tell("a")
        with pytest.raises(Crash):
            deliver()
        assert work.called == []

        make_due()
        deliver()
        assert (work.called, states()) == (["a"], {"a": "done"})

    def test_a_crash_between_call_and_recording_leaves_the_message_to_be_asked_about(self, work, monkeypatch):
        monkeypatch.setattr(work, "record", crash_before(work.record))
        tell("a")
        with pytest.raises(Crash):
            deliver()
        assert (states(), row("a").attempts, InboxMessage.objects.count()) == ({"a": "open"}, 1, 0)

        make_due()
        deliver()
        assert work.noted == [["a"], ["a"]]
        assert (row("a").attempts, states()) == (2, {"a": "done"})


@pytest.mark.django_db
class TestSlowCalls:
    def test_one_slow_call_does_not_hold_its_batch(self, work):
        """Whoever answered is recorded, and freed slots claim again, while the slow one still hangs."""
        work.the_gate.slots = 2
        go_on = threading.Event()

        def last():
            go_on.set()
            return "ok"

        work.calls["slow"] = lambda: go_on.wait(30) and "slow at last"
        work.calls["d"] = last
        for text in ["slow", "a", "b", "c", "d"]:
            tell(text)

        assert deliver() == 5

        # The last call is what lets the slow one go: everything before it ran beside it.
        assert [intent for intent, *_ in work.recorded][:3] == ["a", "b", "c"]
        assert set(states().values()) == {"done"}

    def test_a_call_that_overstays_is_given_up_and_its_outcome_is_unknown(self, work, monkeypatch):
        hangs = threading.Event()
        work.calls["a"] = lambda: hangs.wait(30)
        work.the_gate.total_deadline = timedelta(seconds=-1)
        tell("a")

        deliver()
        hangs.set()

        [(_, result, mine, _)] = work.recorded
        assert (type(result), mine) == (CallOverstayed, True)
        assert len(work.the_gate.given_up) == 1

    def test_a_call_that_was_given_up_before_it_was_made_is_none_that_overstayed(self, work):
        hangs = threading.Event()
        work.calls["a"] = lambda: hangs.wait(30)
        work.the_gate.total_deadline = timedelta(seconds=-1)
        work.the_gate.give_up = lambda future: future.set_exception(NeverMade())
        tell("a")

        deliver()
        hangs.set()

        [(_, result, mine, provider_down)] = work.recorded
        assert (type(result), mine, provider_down) == (NeverMade, True, True)

    def test_a_process_that_lost_several_threads_ends_itself(self, work, monkeypatch):
        ended = []
        monkeypatch.setattr("os._exit", ended.append)
        work.the_gate.given_up = [None] * remote.OVERSTAYED_MAX
        tell("a")

        deliver()

        assert ended == [remote.EX_SOFTWARE]
        assert states() == {"a": "done"}


@pytest.mark.django_db
class TestStale:
    def test_i6_an_answer_that_comes_after_its_claim_is_recorded_as_a_fact_only(self, work, monkeypatch):
        """I6: what was answered is handed on, marked as somebody else's to decide."""
        note = work.note

        def note_and_lose_the_claim(messages):
            calls = note(messages)
            OutboxMessage.objects.update(epoch=99)
            return calls

        monkeypatch.setattr(work, "note", note_and_lose_the_claim)
        tell("a")

        deliver()

        assert work.recorded == [("a", "ok", False, False)]
        assert (states(), InboxMessage.objects.count()) == ({"a": "open"}, 0)

    def test_i6_a_claim_that_was_lost_before_the_intent_notes_nothing(self, work, monkeypatch):
        """I6"""
        claim = remote.claim

        def claim_and_lose(destination, limit):
            messages = claim(destination, limit)
            OutboxMessage.objects.update(epoch=99)
            return messages

        monkeypatch.setattr(remote, "claim", claim_and_lose)
        tell("a")

        deliver()

        assert (work.noted, work.called) == ([[]], [])

    def test_i5_what_was_handled_before_is_no_decision(self, work):
        """I5"""
        tell("a")
        deliver()
        OutboxMessage.objects.update(state="open", finished_at=None, due_at="2020-01-01T00:00:00Z")

        deliver()

        assert [mine for _, _, mine, _ in work.recorded] == [True, False]


@pytest.mark.django_db
class TestGate:
    def test_with_the_breaker_open_nothing_is_claimed_and_the_destination_pauses(self, work):
        work.the_gate.open_until = timezone.now() + timedelta(seconds=3)
        tell("a")

        assert deliver() == 0

        assert (row("a").attempts, work.noted) == (0, [])
        assert Destination.objects.get().paused_until == work.the_gate.open_until

    def test_answers_of_a_provider_that_went_down_say_so(self, work):
        def last_straw():
            work.the_gate.open_until = timezone.now() + timedelta(seconds=60)
            raise OSError("refused")

        work.calls["a"] = last_straw
        tell("a")

        deliver()

        assert [down for *_, down in work.recorded] == [True]

    def test_a_call_that_was_never_made_burns_no_attempt(self, work):
        def leave_the_line():
            raise NeverMade

        work.calls["a"] = leave_the_line
        tell("a")

        deliver()

        assert [down for *_, down in work.recorded] == [True]

    def test_a_worker_that_was_asked_to_stop_starts_nothing_new(self, work):
        tell("a")
        heartbeat.stop()

        assert deliver() == 0
        assert (row("a").attempts, work.the_gate.taken) == (0, 0)

    def test_what_a_long_run_publishes_is_rung_before_it_ends(self, work, rings, monkeypatch):
        work.the_gate.slots = 1
        heard = []

        def record(answers):
            heard.append(list(rings))
            if answers[0].intent == "a":
                with transaction.atomic():
                    consumer.wakeup.after_commit({NAME})

        monkeypatch.setattr(work, "record", record)
        for text in "abc":
            tell(text)

        deliver()

        assert heard == [[], [NAME], [NAME]]


@pytest.mark.django_db(transaction=True)
def test_a_call_runs_without_a_transaction_and_its_intent_is_committed(work):
    """No lock is held while somebody else's server thinks."""
    seen = []

    def look():
        seen.append((connection.in_atomic_block, OutboxMessage.objects.filter(attempts=1).count()))
        with transaction.atomic():
            seen.append(OutboxMessage.objects.select_for_update(nowait=True).count())
        connection.close()

    work.calls["a"] = look
    tell("a")

    deliver()

    assert seen == [(False, 1), 1]
