"""A remote run to its end: one at a time claims, the slots are filled, and whatever breaks, each call is recorded."""

import threading
import time

import pytest
from django.db import OperationalError, connection

from outbox import bell, consumer, remote
from outbox.models import OutboxMessage
from tests.outbox.remote_work import NAME
from tests.support.crash import Crash
from tests.support.threads import in_thread
from tests.support.told import row, states, tell


def deliver():
    return consumer.deliver(NAME)


def fails_once(function):
    """The function, after one error of the database."""
    left = [OperationalError("server closed the connection unexpectedly")]

    def run(*args, **kwargs):
        if left:
            raise left.pop()
        return function(*args, **kwargs)

    return run


@pytest.mark.django_db(transaction=True)
class TestTrouble:
    @pytest.mark.parametrize("broken", ["observe", "release"])
    def test_i13_trouble_with_the_breakers_row_costs_no_answer_its_recording(self, work, monkeypatch, broken):
        """I13: a call whose answer was thrown away would have to be asked about."""
        gate = work.the_gate
        monkeypatch.setattr(gate, broken, fails_once(getattr(gate, broken)))
        for text in "abc":
            tell(text)

        deliver()

        assert sorted(intent for intent, *_ in work.recorded) == ["a", "b", "c"]
        assert set(OutboxMessage.objects.values_list("state", "attempts")) == {("done", 1)}

    def test_trouble_with_the_bell_leaves_the_rest_of_the_run_alone(self, work, monkeypatch):
        work.the_gate.slots = 1
        monkeypatch.setattr(bell, "ring", fails_once(bell.ring))
        for text in "abc":
            tell(text)

        assert deliver() == 3

        assert set(states().values()) == {"done"}

    def test_an_answer_whose_failure_cannot_be_written_down_leaves_the_others_theirs(self, work, monkeypatch):
        work.raises_on = {"a"}
        monkeypatch.setattr("outbox.remote.failure.record", fails_once(None))
        for text in "abc":
            tell(text)

        deliver()

        assert states() == {"a": "open", "b": "done", "c": "done"}
        assert row("a").claimed_at is not None  # by the clock

    def test_a_claim_that_fails_meanwhile_gives_its_slots_back_and_loses_nothing(self, work, monkeypatch):
        work.the_gate.slots = 2
        claim, claims = remote.claim, []

        def second_fails(destination, limit):
            claims.append(limit)
            if len(claims) == 2:
                raise OperationalError("gone")
            return claim(destination, limit)

        monkeypatch.setattr(remote, "claim", second_fails)
        for text in "abc":
            tell(text)

        assert deliver() + deliver() == 3

        assert (set(states().values()), work.the_gate.taken) == ({"done"}, 0)

    def test_what_a_run_leaves_in_flight_when_its_process_ends_is_given_up(self, work, monkeypatch):
        def die(answers):
            raise Crash

        go_on = threading.Event()
        work.calls["slow"] = lambda: go_on.wait(30)
        monkeypatch.setattr(work, "record", die)
        for text in ("slow", "a"):
            tell(text)

        with pytest.raises(Crash):
            deliver()
        go_on.set()

        assert len(work.the_gate.given_up) == 1


@pytest.mark.django_db
class TestDeadline:
    def test_i13_the_deadline_of_a_call_counts_from_before_its_intent_is_noted(self, work, monkeypatch):
        """I13: "absent" means "nothing happened" only if no call begins later than its deadline after its intent."""
        moments = []

        def claim(destination, limit):
            messages = remote_claim(destination, limit)
            moments.append(time.monotonic())
            return messages

        def note(messages):
            moments.append(time.monotonic())
            return work_note(messages)

        remote_claim, work_note = remote.claim, work.note
        monkeypatch.setattr(remote, "claim", claim)
        monkeypatch.setattr(work, "note", note)
        tell("a")

        deliver()

        began = work.the_gate.ends[0] - work.the_gate.total_deadline.total_seconds()
        claimed, noted = moments[:2]
        assert claimed <= began <= noted


@pytest.mark.django_db(transaction=True)
class TestTurns:
    def test_a_second_ring_beside_a_slow_call_is_answered_at_once(self, work):
        """Two slow providers would otherwise take all threads of a worker, and every other provider would wait."""
        asked, go_on = threading.Event(), threading.Event()
        work.calls["slow"] = lambda: asked.set() or go_on.wait(30)
        tell("slow")
        first = in_thread(deliver)
        assert asked.wait(10)
        tell("next")

        assert deliver() == 0

        go_on.set()
        assert first.result(10) == 2
        assert states() == {"slow": "done", "next": "done"}

    def test_a_run_that_claims_no_more_leaves_what_is_due_to_the_next_ring(self, work, monkeypatch):
        asked, go_on = threading.Event(), threading.Event()
        work.calls["slow"] = lambda: asked.set() or go_on.wait(30)
        monkeypatch.setattr(remote, "RUN_MAX_SECONDS", 0.3)
        tell("slow")
        first = in_thread(deliver)
        assert asked.wait(10)
        tell("next")
        second = 0
        for _ in range(1_000):
            # The first run takes it when it looks once more before its time is over.
            if (second := deliver()) or states()["next"] == "done":
                break
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.01)")
        go_on.set()

        assert first.result(10) + second == 2
        assert states() == {"slow": "done", "next": "done"}

    def test_a_run_that_raised_lets_the_next_one_claim(self, work, monkeypatch):
        with monkeypatch.context() as broken:
            broken.setattr(work, "record", lambda answers: (_ for _ in ()).throw(Crash))
            tell("a")
            with pytest.raises(Crash):
                deliver()
        tell("b")

        assert deliver() == 1
        assert states() == {"a": "open", "b": "done"}

    def test_rows_that_were_tried_before_fill_the_slots_too(self, work):
        """Each is claimed alone (F9): one claim per turn would leave all other slots empty."""
        work.the_gate.slots = 3
        together = threading.Barrier(3)
        for text in "abc":
            work.calls[text] = lambda: together.wait(10) and "ok"
            tell(text)
        OutboxMessage.objects.update(attempts=1)

        assert deliver() == 3

        assert (work.the_gate.most, work.noted) == (3, [["a"], ["b"], ["c"]])
        assert not together.broken
        assert set(states().values()) == {"done"}
