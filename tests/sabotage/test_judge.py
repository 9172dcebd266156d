"""What counts as a catch: a test that failed in its own body, and nothing else."""

import pytest

from tests.sabotage import judge, runs
from tests.sabotage.guard import Guard
from tests.sabotage.runs import Outcome, Run

GUARD = Guard(name="g", promises="I1", guards="something", layers={"code": []}, caught_by=["t"])
PASSED = Outcome(outcome="passed", when="call", exception="", says="")


def failed(exception="AssertionError", when="call"):
    return Outcome(outcome="failed", when=when, exception=exception, says="so")


def verdict(monkeypatch, *, before=PASSED, without, guard=GUARD):
    """Of one guard whose one test ended so, with the guard and without it."""
    monkeypatch.setattr(runs, "run_untouched", lambda tests: Run(outcomes={"t": before}))
    sabotaged = without if isinstance(without, dict) else {guard.name: without}
    made = {name: run if isinstance(run, Run) else Run(outcomes={"t": run}) for name, run in sabotaged.items()}
    monkeypatch.setattr(runs, "run_sabotaged", lambda tests, name, *, slot: made[name])
    [one] = judge.judge([guard], tell=lambda line: None)
    return one


@pytest.mark.parametrize("exception", ["AssertionError", "Failed", "IntegrityError"])
def test_a_test_that_fails_by_assertion_or_by_postgres_is_a_catch(monkeypatch, exception):
    one = verdict(monkeypatch, without=failed(exception))

    assert one.holds
    assert [(catch.test, catch.exception) for catch in one.caught_by] == [("t", exception)]


@pytest.mark.parametrize(
    "outcome",
    [
        PASSED,
        failed("NameError"),
        failed("ProgrammingError"),
        failed(when="setup"),
        Run(complaint="pytest ended with status 3"),
    ],
)
def test_a_pass_a_mistake_of_the_edit_a_fixture_and_a_run_that_broke_are_none(monkeypatch, outcome):
    one = verdict(monkeypatch, without=outcome)

    assert not one.holds
    assert one.caught_by == []
    assert len(one.complaints) == 1


def test_an_exception_that_the_guard_names_is_a_catch(monkeypatch):
    guard = Guard(**{**vars(GUARD), "shows_as": ["DoesNotExist"]})

    assert verdict(monkeypatch, without=failed("DoesNotExist"), guard=guard).holds


def test_a_test_that_fails_with_every_guard_in_place_proves_nothing(monkeypatch):
    one = verdict(monkeypatch, before=failed(), without=failed())

    assert not one.holds
    assert one.complaints == ["fails with every guard in place: t"]


def test_a_test_that_did_not_run_has_not_passed(monkeypatch):
    monkeypatch.setattr(runs, "run_untouched", lambda tests: Run(outcomes={"t": PASSED}))
    monkeypatch.setattr(runs, "run_sabotaged", lambda tests, name, *, slot: Run())

    [one] = judge.judge([GUARD], tell=lambda line: None)

    assert one.complaints == ["nobody noticed"]


def test_what_another_layer_is_said_to_hold_must_hold(monkeypatch):
    guard = Guard(**{**vars(GUARD), "layers": {"code": [], "Postgres": []}, "alone": {"code": ["t"]}})

    held = verdict(monkeypatch, without={"g": failed(), "g/code": PASSED}, guard=guard)
    assert [(one.without, one.by) for one in held.also_held] == [("code", "Postgres")]
    assert held.holds

    broken = verdict(monkeypatch, without={"g": failed(), "g/code": failed()}, guard=guard)
    assert (broken.holds, broken.complaints) == (False, ["without code alone: fails: t"])
