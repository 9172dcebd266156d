"""Decisions are pure: every outcome, in both directions, with attempts left or spent, asked to cancel or not."""

from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils.compat import uuid7

from sagas import decisions
from sagas.decisions import Case
from sagas.definition import Definition, RemoteAction, RetryPolicy, Step
from sagas.models import Saga, SagaStep
from sagas.outcomes import Absent, Done, Refused, Retry, Unknown

NOW = datetime(2025, 1, 2, tzinfo=UTC)
Status, Undo = SagaStep.Status, SagaStep.UndoStatus


def nothing(*_):
    raise AssertionError("decisions call nothing")


REMOTE = RemoteAction(note=nothing, call=nothing, probe=nothing, record=nothing, receipt=nothing)
DEFINITION = Definition(
    name="test",
    steps=[
        Step(name="first", action=nothing, compensation=nothing),
        Step(
            name="second",
            action=REMOTE,
            compensation=REMOTE,
            provider="p",
            retry=RetryPolicy(max_attempts=3),
            timeout=timedelta(hours=1),
            gives_up_as="gone",
        ),
        Step(name="third", action=nothing),
        Step(name="pivot", action=nothing, pivot=True),
        Step(name="last", action=nothing),
    ],
    on_compensated=nothing,
)


def row(name, status=Status.RUNNING, **values):
    return SagaStep(name=name, position=DEFINITION.position(name), status=status, **values)


def case(at="second", *, undo=False, cancel=False, others=(), **values):
    """A case at one step, after one attempt; steps before it are done."""
    saga = Saga(
        id=uuid7(),
        current_step=at,
        direction="backward" if undo else "forward",
        cancel_requested_at=NOW if cancel else None,
        started_at=NOW,
    )
    before = DEFINITION.steps[: DEFINITION.position(at)]
    steps = {step.name: row(step.name, Status.DONE) for step in before} | {other.name: other for other in others}
    counted = {"undo_attempts": 1} if undo else {"attempts": 1, "started_at": NOW}
    mine = row(at, **{"status": Status.DONE if undo else Status.RUNNING} | counted | values)
    steps[at] = mine
    return Case(definition=DEFINITION, saga=saga, steps=steps, step=DEFINITION.step(at), row=mine, undo=undo, now=NOW)


def decided(this, outcome, **options):
    decisions.decide(this, outcome, **options)
    return this


class TestForwardDone:
    def test_goes_on_with_the_next_step(self):
        this = decided(case(), Done({"reference": "r"}))

        assert (this.row.status, this.row.output, this.row.finished_at) == (Status.DONE, {"reference": "r"}, NOW)
        assert this.next_command == ("third", False)
        assert this.saga.current_step == "third"
        assert this.touched == {"second"}

    def test_after_the_last_step_the_saga_is_completed(self):
        this = decided(case("last"), Done())

        assert (this.saga.status, this.saga.ended_at, this.ended) == ("completed", NOW, True)
        assert this.next_command is None

    def test_asked_to_cancel_it_turns_and_undoes_this_very_step(self):
        this = decided(case(cancel=True), Done())

        assert (this.saga.direction, this.saga.reason) == ("backward", "cancelled")
        assert this.next_command == ("second", True)

    def test_past_the_pivot_a_wish_to_cancel_is_too_late(self):
        this = decided(case("last", cancel=True), Done())

        assert (this.saga.direction, this.saga.status) == ("forward", "completed")

    def test_the_pivot_itself_refuses_when_it_finds_the_wish(self):
        this = case("pivot", cancel=True)

        assert this.wants_to_turn
        decisions.turn(this, "cancelled")
        assert this.next_command == ("second", True)


def test_what_a_participant_said_is_kept_without_addresses_and_credentials():
    this = decided(case(), Refused("declined", error="no ann@example.org, says Bearer sk_live_0123456789\nat once"))

    assert this.row.error == "no ***, says Bearer *** at once"
    assert this.saga.last_error == "second: no ***, says Bearer *** at once"


class TestForwardEnd:
    def test_refused_turns_with_the_reason(self):
        this = decided(case(), Refused("declined", error="card 51"))

        assert (this.row.status, this.row.error) == (Status.REFUSED, "card 51")
        assert (this.saga.direction, this.saga.reason, this.saga.last_error) == (
            "backward",
            "declined",
            "second: card 51",
        )
        assert this.next_command == ("first", True)

    def test_refused_past_the_pivot_needs_a_person(self):
        this = decided(case("last"), Refused("no"))

        assert (this.saga.status, this.saga.direction, this.next_command) == ("needs_attention", "forward", None)

    def test_refused_at_the_first_step_there_is_nothing_to_undo(self):
        this = decided(case("first"), Refused("out_of_stock"))

        assert (this.saga.status, this.saga.reason, this.ended) == ("compensated", "out_of_stock", True)
        assert this.next_command is None

    @pytest.mark.parametrize(("cancel", "reason"), [(False, "gone"), (True, "cancelled")])
    def test_absent_turns(self, cancel, reason):
        this = decided(case(cancel=cancel), Absent())

        assert (this.row.status, this.saga.reason, this.next_command) == (Status.ABSENT, reason, ("first", True))


class TestForwardRetry:
    def test_with_attempts_left_it_comes_again_by_backoff(self, monkeypatch):
        monkeypatch.setattr("random.uniform", lambda low, high: high)
        this = decided(case(attempts=2), Retry("503"))

        assert (this.row.status, this.later) == (Status.RETRYING, timedelta(seconds=4))
        assert (this.next_command, this.saga.direction, this.error) == (None, "forward", "503")

    def test_the_providers_own_word_counts(self):
        assert decided(case(), Retry("429", after=timedelta(seconds=9))).later == timedelta(seconds=9)

    @pytest.mark.parametrize(
        "spent", [{"attempts": 3}, {"started_at": NOW - timedelta(hours=2)}], ids=["attempts", "timeout"]
    )
    def test_spent_and_never_called_it_is_given_up(self, spent):
        this = decided(case(**spent), Retry("503"))

        assert (this.row.status, this.saga.reason, this.next_command) == (Status.GIVEN_UP, "gone", ("first", True))

    @pytest.mark.parametrize("values", [{"attempts": 3}, {"cancel": True}], ids=["spent", "cancelled"])
    def test_i13_spent_or_cancelled_after_a_call_it_asks_once_more(self, values):
        """I13: a call may have left; its next attempt only probes."""
        this = decided(case(called_at=NOW, **values), Retry("503"))

        assert (this.later, this.saga.direction) == (decisions.PROBE_AGAIN_MIN, "forward")
        assert this.may_have_happened

    def test_a_provider_that_is_down_costs_no_attempt(self):
        this = decided(case(attempts=3), Retry("open"), provider_down=True)

        assert (this.row.attempts, this.later is not None, this.saga.direction) == (2, True, "forward")


class TestForwardUnknown:
    @pytest.mark.parametrize(
        "values", [{}, {"attempts": 99}, {"cancel": True}, {"started_at": NOW - timedelta(days=9)}]
    )
    def test_i13_whatever_happens_it_is_asked_about_again(self, values):
        """I13: no compensation while it is unknown, spent, cancelled or late."""
        this = decided(case(called_at=NOW, **values), Unknown("timeout"))

        assert (this.row.status, this.saga.direction, this.next_command) == (Status.UNKNOWN, "forward", None)
        assert this.later >= decisions.PROBE_AGAIN_MIN


class TestBackward:
    def test_i8_done_goes_on_with_the_step_before(self):
        """I8: reverse order."""
        this = decided(case(undo=True), Done({"refund": "r"}))

        assert (this.row.undo_status, this.row.undo_output, this.row.status) == (
            Undo.DONE,
            {"refund": "r"},
            Status.DONE,
        )
        assert this.next_command == ("first", True)

    def test_i8_steps_that_did_nothing_or_have_nothing_to_undo_are_passed_over(self):
        """I8"""
        this = case("third", others=[row("second", Status.REFUSED), row("first", Status.DONE)])
        decisions.turn(this, "x")

        assert this.next_command == ("first", True)

    def test_the_last_compensation_ends_the_saga(self):
        this = decided(case("first", undo=True), Done())

        assert (this.saga.status, this.saga.ended_at, this.ended) == ("compensated", NOW, True)

    def test_i8_with_a_failed_one_it_is_not_called_compensated(self):
        """I8"""
        failed = row("second", Status.DONE, undo_status=Undo.FAILED)
        this = decided(case("first", undo=True, others=[failed]), Done())

        assert (this.saga.status, this.saga.ended_at, this.saga.current_step) == ("needs_attention", None, "second")
        assert not this.ended

    def test_refused_needs_a_person_and_the_others_still_run(self):
        this = decided(case(undo=True), Refused("no"))

        assert (this.row.undo_status, this.row.undo_error) == (Undo.FAILED, "no")
        assert this.next_command == ("first", True)

    @pytest.mark.parametrize(
        ("outcome", "status"),
        [(Retry("503"), Undo.RETRYING), (Unknown("timeout"), Undo.UNKNOWN), (Absent(), Undo.RETRYING)],
    )
    def test_anything_else_is_tried_again_until_its_attempts_are_spent(self, outcome, status):
        again = decided(case(undo=True), outcome)
        assert (again.row.undo_status, again.later is not None, again.next_command) == (status, True, None)

        spent = decided(case(undo=True, undo_attempts=3), outcome)
        assert (spent.row.undo_status, spent.next_command) == (Undo.FAILED, ("first", True))

    def test_a_provider_that_is_down_costs_no_attempt(self):
        this = decided(case(undo=True, undo_attempts=3), Retry("open"), provider_down=True)

        assert (this.row.undo_attempts, this.row.undo_status) == (2, Undo.RETRYING)

    def test_a_wish_to_cancel_changes_nothing_any_more(self):
        assert not case(undo=True, cancel=True).wants_to_turn


class TestBegin:
    def test_an_attempt_is_counted_before_it_is_made(self):
        this = case(attempts=0, started_at=None)
        decisions.begin(this)
        assert (this.row.attempts, this.row.started_at, this.row.status) == (1, NOW, Status.RUNNING)

        back = case(undo=True, undo_attempts=0)
        decisions.begin(back)
        assert (back.row.undo_attempts, back.row.undo_started_at, back.row.attempts) == (1, NOW, 0)

    def test_the_providers_key_is_the_same_in_every_attempt_and_another_for_the_way_back(self):
        this, back = case(attempts=5), case(undo=True)

        assert this.run().key == f"{this.saga.pk}:second"
        assert back.run().key == f"{back.saga.pk}:second.undo"
