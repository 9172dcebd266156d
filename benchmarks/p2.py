"""P2: two calls per saga to a slow provider, 1,000 sagas in flight, ours against DBOS. Run with `--help`.

Each saga: a local step, two calls (100 ms; one in a hundred 5 s, the same ones on both sides), a local step. Both sides
have two processes that call, with as many calls under way at most. A round is a closed loop: whatever ends is replaced
at once, so work is always due; the rate is what ended in a window after a warm-up that outlasts the slowest call; then
everything is let end, and every row must have been touched exactly once. The provider itself counts the calls under
way. Rounds alternate. That nothing idles while work is due is judged by the busier of the two that can be the wall: the
slots, by the provider's own count, and the processors, by the time that all of ours took; at many slots and at few.
"""

import argparse
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from benchmarks import peers, program
from benchmarks.calling_sides import DBOS, Dbos, Ours, Provider, Side
from benchmarks.criterion import Criterion, Limit, Rounds, judge
from benchmarks.place import OURS, Place, cpu_seconds, place, print_statements, settle
from benchmarks.report import Report
from benchmarks.slow_provider import MEAN_SECONDS, QUICK_SECONDS, SLOW_ONE_IN, SLOW_SECONDS

PROCESSES = 2
CALLS_PER_SAGA = 2
TOUCHED = (1, 4)
# More than any side ends in a round.
ROWS = 30_000
POLL_SECONDS = 0.2
BUSY_AT_LEAST = 0.9
DRAIN_MAX_SECONDS = 120.0
NAMESPACE = uuid.UUID("5e1f2d3c-0000-4000-8000-000000000002")


@dataclass(frozen=True, kw_only=True)
class Round:
    """One side's closed loop. `busy` is the mean number of calls under way, as a share of the slots; `processors` the
    time that this program and all that it started took, Postgres and the provider among them, as a share of theirs."""

    per_second: float
    busy: float
    processors: float
    failed: int
    # Of the workers (and relay), and of Postgres.
    worker_cpu_ms: float
    postgres_cpu_ms: float
    most: float = 0.0
    again: float = 0.0

    def line(self) -> str:
        return (
            f"{self.per_second:6.1f} sagas/s, slots {self.busy:.1%} busy (at most {self.most:.0f} calls at once), "
            f"processors {self.processors:.1%}, "
            f"{self.worker_cpu_ms:.2f} + {self.postgres_cpu_ms:.2f} ms of CPU a saga (workers + Postgres), "
            f"{self.failed} failed, {self.again:.0f} calls made again"
        )


@dataclass
class Load:
    """A side kept at a number of sagas in flight."""

    side: Side
    connection: psycopg.Connection[Any]
    rows: Iterator[str]
    in_flight: int
    started: int = 0

    def ended(self) -> int:
        return self.started - self._open()

    def top_up(self) -> None:
        wanted = self.in_flight - self._open()
        if wanted > 0:
            self.side.start([next(self.rows) for _ in range(wanted)])
            self.started += wanted

    def hold(self, *, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self.top_up()
            time.sleep(max(0.0, min(POLL_SECONDS - (time.monotonic() - now), until - now)))

    def drain(self) -> None:
        until = time.monotonic() + DRAIN_MAX_SECONDS
        while self._open():
            if time.monotonic() > until:
                raise SystemExit(f"{self.side.name}: {self._open()} sagas are still open after {DRAIN_MAX_SECONDS} s.")
            time.sleep(POLL_SECONDS)

    def _open(self) -> int:
        return _count(self.connection, self.side.open)


def make_tables(connection: psycopg.Connection[Any]) -> None:
    for number in TOUCHED:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS bench_step_{number} (id uuid PRIMARY KEY, touched int NOT NULL DEFAULT 0)"
        )


def new_rows(connection: psycopg.Connection[Any], number: int) -> list[str]:
    """The rows of a round: both sides have the same ones, and so the same slow calls."""
    rows = [str(uuid.uuid5(NAMESPACE, f"{number}:{row}")) for row in range(ROWS)]
    for step in TOUCHED:
        connection.execute(f"TRUNCATE bench_step_{step}")
        connection.execute(f"INSERT INTO bench_step_{step} (id) SELECT unnest(%s::uuid[])", [rows])
    return rows


def check_rows(connection: psycopg.Connection[Any], side: Side, started: int) -> None:
    for step in TOUCHED:
        once = _count(connection, f"SELECT count(*) FROM bench_step_{step} WHERE touched = 1")
        otherwise = _count(connection, f"SELECT count(*) FROM bench_step_{step} WHERE touched > 1")
        if (once, otherwise) != (started, 0):
            raise SystemExit(
                f"{side.name}: step {step} touched {once} of {started} rows once, {otherwise} more than once."
            )


def one_round(here: Place, side: Side, provider: Provider, number: int, options: argparse.Namespace) -> Round:
    with here.connect(side.database) as connection, side.running():
        load = Load(side, connection, iter(new_rows(connection, number)), options.in_flight)
        settle(connection)
        provider.forget()
        load.hold(seconds=options.warm_up)
        measured = window(here, load, provider, seconds=options.seconds)
        load.drain()
        check_rows(connection, side, load.started)
        if side.name == "ours" and options.statements:
            print_statements(connection)
    figures = provider.figures()
    made = replace(measured, again=figures["again"], most=figures["most"])
    print(f"  round {number} {side.name:5} {made.line()}", flush=True)
    return made


def window(here: Place, load: Load, provider: Provider, *, seconds: float) -> Round:
    """What ends, how many calls are under way, and what it costs, while as many sagas as ever are in flight."""
    groups = [load.side.workers(), [here.postgres_pid()], [os.getpid()]]  # whose children they all are
    cpu = [cpu_seconds(pids) for pids in groups]
    before, ended = provider.figures(), load.ended()
    load.hold(seconds=seconds)
    after, count = provider.figures(), load.ended() - ended
    workers, postgres, everything = (cpu_seconds(pids) - earlier for pids, earlier in zip(groups, cpu, strict=True))
    took = after["at"] - before["at"]
    return Round(
        per_second=count / took,
        busy=(after["call_seconds"] - before["call_seconds"]) / took / (PROCESSES * load.side.slots),
        processors=everything / took / (os.cpu_count() or 1),
        failed=_count(load.connection, load.side.failed),
        worker_cpu_ms=workers * 1000 / count,
        postgres_cpu_ms=postgres * 1000 / count,
    )


def measure(options: argparse.Namespace) -> Report:
    python = peers.python()
    rounds: dict[str, list[Round]] = {"ours": [], "dbos": [], "few": []}
    with place() as here, ExitStack() as ending:
        provider = Provider(here)
        ending.enter_context(provider.running())
        here.environment["BENCH_PROVIDER_URL"] = provider.url
        here.fresh_database(DBOS)
        for database in (OURS, DBOS):
            with here.connect(database) as connection:
                make_tables(connection)
        here.use_django()
        sides: list[Side] = [Ours(here, options.slots), Dbos(here, options.slots, python)]
        for number in range(1, options.rounds + 1):
            for side in sides:
                if side.name in options.sides:
                    rounds[side.name].append(one_round(here, side, provider, number, options))
        here.stack.end()
        few = Ours(here, options.few_slots)
        rounds["few"] = [one_round(here, few, provider, -number, options) for number in range(1, options.rounds + 1)]
    return report(rounds, options)


def report(rounds: dict[str, list[Round]], options: argparse.Namespace) -> Report:
    ours, dbos = rounds["ours"], rounds["dbos"]
    slots = PROCESSES * options.slots
    limit = slots / (CALLS_PER_SAGA * MEAN_SECONDS)
    return Report(
        target="p2",
        title=f"two calls per saga to a slow provider, {options.in_flight:,} sagas in flight, {slots} calls at most",
        criteria=[
            judge(
                "sagas with two calls : DBOS",
                Rounds(
                    unit="sagas/s",
                    ours=[one.per_second for one in ours],
                    theirs=[one.per_second for one in dbos],
                    peer="DBOS 3.4, as many calls at most" if dbos else "",
                ),
                at_least=3.0,
                limit=Limit(what="slots / mean call time / calls per saga", figure=limit),
            ),
            never_idle(ours, slots),
            never_idle(rounds["few"], PROCESSES * options.few_slots),
        ],
        notes=notes(rounds, options),
    )


def never_idle(rounds: Sequence[Round], slots: int) -> Criterion:
    """While work is due either every slot calls, or the processors have no time left to feed them."""
    return judge(
        f"the busier of {slots} slots and the processors",
        Rounds(unit="of what there is", ours=[max(one.busy, one.processors) for one in rounds]),
        at_least=BUSY_AT_LEAST,
        limit=Limit(what="every slot or every processor, always", figure=1.0),
    )


def notes(rounds: dict[str, list[Round]], options: argparse.Namespace) -> list[str]:
    ours, dbos = rounds["ours"], rounds["dbos"]
    named = {"ours": ours, "DBOS": dbos, f"ours, {options.few_slots} slots a process": rounds["few"]}
    return [
        f"provider: {QUICK_SECONDS:g} s, one call in {SLOW_ONE_IN} {SLOW_SECONDS:g} s by its key, so "
        f"{MEAN_SECONDS:.3f} s on average; {PROCESSES} processes with {options.slots} slots on each side",
        "the same client (requests) and timeouts on both sides (connect 3 s, read 10 s), retries 0; a call made again: "
        f"ours {sum(one.again for one in ours):.0f}, DBOS {sum(one.again for one in dbos):.0f}",
        f"failed: ours {sum(one.failed for one in ours)}, DBOS {sum(one.failed for one in dbos)}",
        *(
            f"round {number} {name}: {one.line()}"
            for name, measured in named.items()
            for number, one in enumerate(measured, 1)
        ),
    ]


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    parser = program.parser(__doc__, "p2", rounds=3)
    parser.add_argument("--slots", type=int, default=50, help="calls under way at most, per process")
    parser.add_argument("--few-slots", type=int, default=8, help="per process, as the processors can feed")
    parser.add_argument("--in-flight", type=int, default=1_000)
    parser.add_argument("--warm-up", type=float, default=6.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=12.0, help="of the measured window")
    parser.add_argument("--sides", default="ours,dbos", help="one alone is for profiling, not for the target")
    parser.add_argument("--statements", action="store_true", help="print our most expensive SQL statements")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
