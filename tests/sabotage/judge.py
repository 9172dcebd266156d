"""Judges guards: first that the catching tests pass, then that one of them fails without the guard.

Guarantee: only a test that failed in its own body, by an assertion, by Postgres' refusal or by what the guard names, is
a catch; an error of collection, of a fixture or of the switchboard is none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue

from . import runs
from .guard import Guard
from .runs import Outcome, Run


@dataclass(frozen=True, kw_only=True)
class Catch:
    """A test that failed without the guard, and what it said."""

    test: str
    exception: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Held:
    """One layer gone and its promise still kept: by which other layers, and the tests that saw it."""

    without: str
    by: str
    tests: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    guard: str
    promises: str
    guards: str
    caught_by: Sequence[Catch] = ()
    also_held: Sequence[Held] = ()
    complaints: Sequence[str] = field(default=())

    @property
    def holds(self) -> bool:
        return bool(self.caught_by) and not self.complaints


@dataclass(frozen=True, kw_only=True)
class _Sabotage:
    """A run to make: a guard, or one layer of it."""

    guard: Guard
    layer: str | None = None

    @property
    def tests(self) -> Sequence[str]:
        return self.guard.alone[self.layer] if self.layer else self.guard.caught_by

    def __str__(self) -> str:
        return f"{self.guard.name}/{self.layer}" if self.layer else self.guard.name


def judge(guards: Sequence[Guard], *, tell: Callable[[str], None]) -> list[Verdict]:
    """One verdict per guard, in order; `tell` hears how far it is."""
    tests = sorted({test for guard in guards for one in _sabotages(guard) for test in one.tests})
    tell(f"{len(tests)} catching tests, nothing removed")
    untouched = runs.run_untouched(tests)
    if untouched.complaint:
        return [_verdict(guard, complaints=[f"nothing removed: {untouched.complaint}"]) for guard in guards]
    sabotages = [one for guard in guards for one in _sabotages(guard)]
    made = dict(zip(map(str, sabotages), _make(sabotages, tell), strict=True))
    return [_conclude(guard, untouched, made) for guard in guards]


def _sabotages(guard: Guard) -> Iterator[_Sabotage]:
    yield _Sabotage(guard=guard)
    for layer in guard.alone:
        yield _Sabotage(guard=guard, layer=layer)


def _make(sabotages: Sequence[_Sabotage], tell: Callable[[str], None]) -> list[Run]:
    slots: Queue[int] = Queue()
    for slot in range(1, runs.RUNS_AT_ONCE + 1):
        slots.put(slot)

    def make(sabotage: _Sabotage) -> Run:
        slot = slots.get()
        try:
            run = runs.run_sabotaged(sabotage.tests, str(sabotage), slot=slot)
        finally:
            slots.put(slot)
        failed = sum(1 for outcome in run.outcomes.values() if outcome.outcome == "failed")
        tell(f"  without {sabotage}: {run.complaint or f'{failed} of {len(sabotage.tests)} fail'}")
        return run

    with ThreadPoolExecutor(runs.RUNS_AT_ONCE) as pool:
        return list(pool.map(make, sabotages))


def _conclude(guard: Guard, untouched: Run, made: Mapping[str, Run]) -> Verdict:
    complaints = [
        f"fails with every guard in place: {test}"
        for test in sorted({test for one in _sabotages(guard) for test in one.tests})
        if not _passes(untouched, test)
    ]
    whole = made[guard.name]
    catches = [
        Catch(test=test, exception=outcome.exception, says=outcome.says)
        for test, outcome in whole.outcomes.items()
        if _is_catch(guard, outcome)
    ]
    if whole.complaint:
        complaints.append(whole.complaint)
    elif not catches:
        complaints.append(f"nobody noticed{_other_failures(whole)}")
    held = []
    for layer, tests in guard.alone.items():
        run = made[f"{guard.name}/{layer}"]
        broken = [test for test in tests if not _passes(run, test)]
        complaints += [f"without {layer} alone: {run.complaint or f'fails: {test}'}" for test in broken]
        if not broken:
            others = [name for name in guard.layers if name != layer]
            held.append(Held(without=layer, by=guard.beside or " and ".join(others), tests=list(tests)))
    return _verdict(guard, caught_by=catches, also_held=held, complaints=complaints)


def _verdict(
    guard: Guard,
    *,
    caught_by: Sequence[Catch] = (),
    also_held: Sequence[Held] = (),
    complaints: Sequence[str] = (),
) -> Verdict:
    return Verdict(
        guard=guard.name,
        promises=guard.promises,
        guards=guard.guards,
        caught_by=caught_by,
        also_held=also_held,
        complaints=complaints,
    )


def _passes(run: Run, test: str) -> bool:
    """A test with parameters passes when each of them does; one that did not run has not passed."""
    told = [outcome for name, outcome in run.outcomes.items() if name == test or name.startswith(f"{test}[")]
    return bool(told) and all(outcome.outcome == "passed" for outcome in told)


def _is_catch(guard: Guard, outcome: Outcome) -> bool:
    return outcome.outcome == "failed" and outcome.when == "call" and guard.catches(outcome.exception)


def _other_failures(run: Run) -> str:
    told = [f"{o.exception} in {o.when}: {o.says}" for o in run.outcomes.values() if o.outcome == "failed"]
    return f" (but {'; '.join(told)})" if told else ""
