"""`make proof` and `make nightly`: the promises proved on real processes, stage by stage.

Guarantees that every stage runs, however many failed before it, and that status 0 means that all of them held. Does
not repeat `make test`: run that first. What needs RabbitMQ is left out by its stage where it is not installed, and is a
failure in CI.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local import rabbitmq
from local.folder import PROJECT_DIR, Folder, local_dir
from local.program import Program
from local.screen import Screen

PYTHON = sys.executable
# The budgets were measured on two cores, which is what CI has. Tests of real processes mostly wait (two at a time leave
# two thirds of them idle), the others compute.
WAITING = (PYTHON, "-m", "pytest", "-q", "-n", "4", "--dist", "loadgroup")
COMPUTING = (PYTHON, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup")
# Of each kind one: an effect's, a claim's, a key's, the provider's and the stock's.
FIVE_GUARDS = "inbox_insert,epoch,fingerprint,ask_before_compensate,stock_guard"
SEEDS = (1, 2, 3)
# A stage that takes this many times its budget hangs, and has failed.
PATIENCE = 6


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One command; its budget is what it may take on two quiet cores, printed beside what it took."""

    name: str
    command: tuple[str, ...]
    budget_minutes: float
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    stage: Stage
    seconds: float
    status: int
    last_line: str


def proof() -> list[Stage]:
    """What every change must pass, within 20 minutes."""
    return [
        Stage(name="crash points", command=(*WAITING, "-m", "proof", "tests/crash_points"), budget_minutes=6),
        _faults(mark="proof", budget_minutes=4),
        _drill(seed=1, broker="redis", orders=2_000, budget_minutes=4),
        _simulation(seeds=200, mark="proof", budget_minutes=2),
        _fuzz(requests=20_000, budget_minutes=2),
        Stage(
            name="five guards removed",
            command=(PYTHON, "-m", "tests.sabotage", "--only", FIVE_GUARDS),
            budget_minutes=1,
        ),
    ]


def nightly() -> list[Stage]:
    """The same with more of everything, on both brokers."""
    brokers = ("redis", "amqp") if rabbitmq.find() or os.environ.get("CI") == "true" else ("redis",)
    return [
        Stage(
            name="crash points and pairs",
            command=(*WAITING, "-m", "proof or nightly", "tests/crash_points"),
            budget_minutes=60,
        ),
        _faults(mark="proof or nightly", budget_minutes=5),
        *[
            _drill(seed=seed, broker=broker, orders=10_000, budget_minutes=20, more=("--storm", "1000x50"))
            for seed in SEEDS
            for broker in brokers
        ],
        _drill(seed=4, broker="redis", orders=200, budget_minutes=15, more=("--backlog", "100000")),
        _simulation(seeds=2_000, mark="proof or nightly", budget_minutes=20),
        _fuzz(requests=100_000, budget_minutes=10),
        Stage(
            name="plans at five million messages",
            command=(*COMPUTING, "-m", "nightly", "tests/plans"),
            budget_minutes=8,
        ),
        Stage(name="every guard removed", command=(PYTHON, "-m", "tests.sabotage"), budget_minutes=8),
    ]


def _faults(*, mark: str, budget_minutes: float) -> Stage:
    return Stage(
        name="faults and storms",
        command=(*WAITING, "-m", mark, "tests/failures", "tests/acceptance", "tests/local", "tests/operators"),
        budget_minutes=budget_minutes,
    )


def _drill(*, seed: int, broker: str, orders: int, budget_minutes: float, more: tuple[str, ...] = ()) -> Stage:
    return Stage(
        name=f"drill {seed} on {broker}" + (f" ({' '.join(more)})" if more else ""),
        command=(
            *(PYTHON, "-m", "local.drill", "--seed", str(seed), "--broker", broker, "--orders", str(orders)),
            *more,
        ),
        budget_minutes=budget_minutes,
    )


def _simulation(*, seeds: int, mark: str, budget_minutes: float) -> Stage:
    return Stage(
        name=f"{seeds} simulation seeds",
        command=(*COMPUTING, "-m", mark, "tests/simulation"),
        environment={"SIMULATION_SEEDS": str(seeds)},
        budget_minutes=budget_minutes,
    )


def _fuzz(*, requests: int, budget_minutes: float) -> Stage:
    return Stage(
        name=f"{requests} fuzzed requests",
        command=(*COMPUTING, "-m", "proof", "tests/fuzz"),
        environment={"FUZZ_REQUESTS": str(requests)},
        budget_minutes=budget_minutes,
    )


def run(stages: Sequence[Stage], screen: Screen, *, logs: Path) -> list[Result]:
    """Runs every stage; what it says goes to its log, and to the screen too when it failed."""
    results = []
    for number, stage in enumerate(stages, start=1):
        screen.say(f"[{number}/{len(stages)}] {stage.name} …")
        log = logs / f"{number:02}-{re.sub(r'[^a-z0-9]+', '-', stage.name)}.log"
        result = _run(stage, log)
        if result.status:
            screen.say(log.read_text(errors="replace"))
        screen.say(line_of(result))
        results.append(result)
    return results


def _run(stage: Stage, log: Path) -> Result:
    log.write_text("")
    program = Program(
        name=stage.name, command=stage.command, log=log, environment=stage.environment, directory=PROJECT_DIR
    )
    began = time.monotonic()
    status = program.run_to_end(within_seconds=stage.budget_minutes * 60 * PATIENCE)
    lines = program.said().strip().splitlines() or ["it said nothing"]
    return Result(stage=stage, seconds=time.monotonic() - began, status=status, last_line=lines[-1].strip("= ").strip())


def line_of(result: Result) -> str:
    verdict = "held" if result.status == 0 else f"FAILED ({result.status})"
    minutes = f"{result.seconds / 60:.1f} of {result.stage.budget_minutes:g} min"
    return f"  {verdict:<11} {result.stage.name:<32} {minutes:<18} {result.last_line[:100]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nightly", action="store_true", help="more seeds, pairs and orders, on both brokers")
    parser.add_argument("--only", default="", help="stages whose name contains this")
    options = parser.parse_args()
    chosen: Callable[[], list[Stage]] = nightly if options.nightly else proof
    stages = [stage for stage in chosen() if options.only in stage.name]
    folder, screen = Folder(local_dir()), Screen()
    folder.make()
    if not stages:
        screen.complain(f"No stage is called {options.only!r}: {', '.join(stage.name for stage in chosen())}.")
        return 2
    logs = folder.path / "proof"
    logs.mkdir(exist_ok=True)
    results = run(stages, screen, logs=logs)
    failed = [result for result in results if result.status]
    screen.say("\n" + "\n".join(line_of(result) for result in results))
    minutes = sum(result.seconds for result in results) / 60
    screen.say(f"\n{len(failed)} of {len(results)} stages failed" if failed else f"\nAll {len(results)} stages held")
    screen.say(f"({minutes:.1f} minutes; logs: {logs})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
