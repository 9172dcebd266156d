"""Runs seeds and says what came of them; a failing one says how to see it again.

SIMULATION_SEED=123 python -m pytest tests/simulation -k one_seed -m proof -s
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from . import install, judge
from .strands import Stage

TAIL_LINES = 60


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One seed's run: what was wrong, what happened, and the story with its hash."""

    seed: int
    wrong: list[str]
    happened: Counter[str]
    story: list[str]
    digest: str


def run(seed: int, stage: Stage) -> Outcome:
    """Never raises for what the service does wrong: that is an outcome."""
    return stage.perform(lambda: _run(seed, stage))


def _run(seed: int, stage: Stage) -> Outcome:
    with install.simulated(seed, stage) as world:
        try:
            world.run()
            wrong = judge.verdict(world)
        except AssertionError as error:
            wrong = [f"{error}"]
        return Outcome(seed=seed, wrong=wrong, happened=world.happened, story=world.story, digest=world.digest())


def run_all(seeds: Iterable[int], stage: Stage) -> Counter[str]:
    """Every seed holds; returns what happened in all of them. Raises AssertionError at the first wrong one."""
    happened: Counter[str] = Counter()
    for seed in seeds:
        outcome = run(seed, stage)
        assert not outcome.wrong, told(outcome)
        happened += outcome.happened
    return happened


def told(outcome: Outcome) -> str:
    """What a person needs: what is wrong, how it came to that, and how to see it again."""
    return "\n".join(
        [
            f"seed {outcome.seed}:",
            *[f"  {sentence}" for sentence in outcome.wrong],
            f"replay: SIMULATION_SEED={outcome.seed} python -m pytest tests/simulation -k one_seed -m proof -s",
            f"the last {TAIL_LINES} of {len(outcome.story)} lines of its story:",
            *outcome.story[-TAIL_LINES:],
        ]
    )
