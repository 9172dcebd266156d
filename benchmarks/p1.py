"""P1: four local steps per saga, ours against DBOS and against a bare Celery chain. Run with `--help`.

All three update the same kind of rows on the same durable Postgres, with two worker processes each. A round is: new
rows, everything enqueued in one go, the clock until the last one is complete, then a check that every row was touched
exactly once by every step. Rounds alternate; what idles meanwhile polls twice a second (ours) or is not running (DBOS).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg

from benchmarks.figures import ratio, spread
from benchmarks.place import OURS, Place, cpu_seconds, place, print_statements, round_trips, settle, wal_position
from local.folder import PROJECT_DIR
from local.program import Program

DBOS = "bench_dbos"
STEPS = (1, 2, 3, 4)
POLL_SECONDS = 0.02
ROUND_MAX_SECONDS = 300
WARM_UP = 200
# Of our own destinations' messages: rows per call of the statement that finishes a batch.
BATCH = "SELECT /* bench-own */ sum(rows)::float / sum(calls) FROM pg_stat_statements WHERE query ILIKE %s"
FINISH = "%UPDATE outbox_outboxmessage m SET state =%finished_at = statement_timestamp()%"


class Side(Protocol):
    """One way to run the four steps. `start` returns when the enqueuing began, by the wall clock."""

    name: str
    database: str
    left: str

    def start(self, rows: Sequence[str]) -> float: ...
    def running(self) -> Any: ...
    def workers(self) -> list[int]: ...


@dataclass
class Measured:
    """What one round took, and cost in Postgres."""

    per_second: float
    enqueue_share: float
    round_trips: float
    wal_bytes: float
    batch: float | None
    # Of the workers (and relay), and of Postgres: what the machine's other work does not stretch.
    worker_cpu_ms: float
    postgres_cpu_ms: float

    def line(self) -> str:
        batch = f", batch {self.batch:.1f}" if self.batch else ""
        return (
            f"{self.per_second:7,.0f} sagas/s, enqueuing {self.enqueue_share:.0%} of it; per saga "
            f"{self.round_trips:.1f} round trips, {self.wal_bytes / 1000:.1f} kB of WAL, "
            f"{self.worker_cpu_ms:.2f} + {self.postgres_cpu_ms:.2f} ms of CPU (workers + Postgres){batch}"
        )


@dataclass
class Ours:
    here: Place
    name: str = "ours"
    database: str = OURS
    left: str = "SELECT /* bench-own */ count(*) FROM sagas_saga WHERE status = 'running'"

    @contextmanager
    def running(self) -> Iterator[None]:
        yield

    def workers(self) -> list[int]:
        return [program.pid for program in self.here.stack.programs.values() if program.pid]

    def start(self, rows: Sequence[str]) -> float:
        from uuid import UUID

        from django.db import transaction

        from benchmarks.sagas import FOUR_STEPS
        from sagas import lifecycle

        began = time.time()
        with transaction.atomic():
            lifecycle.start(FOUR_STEPS, [(UUID(row), {}) for row in rows])
        return began


@dataclass
class Chain:
    here: Place
    name: str = "chain"
    database: str = OURS
    left: str = "SELECT /* bench-own */ count(*) FROM bench_step_4 WHERE touched = 0"

    @contextmanager
    def running(self) -> Iterator[None]:
        yield

    def workers(self) -> list[int]:
        return [program.pid for program in self.here.stack.programs.values() if program.pid]

    def start(self, rows: Sequence[str]) -> float:
        from benchmarks import tasks

        began = time.time()
        for row in rows:
            tasks.start(row)
        return began


@dataclass
class Dbos:
    """Two worker processes and one that enqueues, in DBOS's own environment, alive for their own rounds only."""

    here: Place
    python: str
    name: str = "dbos"
    database: str = DBOS
    left: str = "SELECT /* bench-own */ count(*) FROM dbos.workflow_status WHERE status <> 'SUCCESS'"
    _enqueuer: subprocess.Popen[str] | None = None
    _workers: list[int] = field(default_factory=list)
    _environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._environment = {**os.environ, "BENCH_DBOS_URL": self.here.postgres.url(DBOS)}

    @contextmanager
    def running(self) -> Iterator[None]:
        self._workers.clear()
        with ExitStack() as ending:
            for number in ("1", "2"):
                self._start_worker(number, ending)
            self._enqueuer = subprocess.Popen(
                self._command("enqueue"),
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ending.callback(self._enqueuer.kill)
            yield

    def start(self, rows: Sequence[str]) -> float:
        assert self._enqueuer
        assert self._enqueuer.stdin
        assert self._enqueuer.stdout
        print(len(rows), file=self._enqueuer.stdin, flush=True)
        return float(json.loads(self._enqueuer.stdout.readline())["began"])

    def workers(self) -> list[int]:
        return self._workers

    def _command(self, *arguments: str) -> list[str]:
        return [self.python, str(PROJECT_DIR / "benchmarks" / "dbos_side.py"), *arguments]

    def _start_worker(self, number: str, ending: ExitStack) -> None:
        log = self.here.folder.path / "logs" / f"dbos-{number}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("")
        worker = Program(
            name=f"dbos-{number}", command=self._command("worker", number), log=log, environment=self._environment
        )
        worker.start()
        self._workers.append(worker.pid or 0)
        ending.callback(worker.kill)
        deadline = time.monotonic() + 60
        while "ready" not in worker.said():
            if not worker.is_running or time.monotonic() > deadline:
                raise SystemExit(f"The DBOS worker did not start: {worker.said()[-1000:]}")
            time.sleep(0.1)


def make_tables(connection: psycopg.Connection[Any]) -> None:
    for number in STEPS:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS bench_step_{number} (id uuid PRIMARY KEY, touched int NOT NULL DEFAULT 0)"
        )


def new_rows(connection: psycopg.Connection[Any], count: int) -> list[str]:
    """Fresh rows in all four tables; their ids."""
    connection.execute("TRUNCATE bench_step_1, bench_step_2, bench_step_3, bench_step_4")
    connection.execute("INSERT INTO bench_step_1 (id) SELECT gen_random_uuid() FROM generate_series(1, %s)", [count])
    for number in STEPS[1:]:
        connection.execute(f"INSERT INTO bench_step_{number} (id) SELECT id FROM bench_step_1")
    return [str(row[0]) for row in connection.execute("SELECT id FROM bench_step_1")]


def check_rows(connection: psycopg.Connection[Any], side: str) -> None:
    for number in STEPS:
        wrong = connection.execute(f"SELECT count(*) FROM bench_step_{number} WHERE touched <> 1").fetchone()
        if wrong != (0,):
            raise SystemExit(f"{side}: {wrong} rows of step {number} were not touched exactly once.")


def one_round(side: Side, connection: psycopg.Connection[Any], count: int, *, postgres: int) -> Measured:
    rows = new_rows(connection, count)
    settle(connection)
    wal, trips = wal_position(connection), round_trips(connection)
    cpu, postgres_cpu = cpu_seconds(side.workers()), cpu_seconds([postgres])
    began = side.start(rows)
    enqueued = time.time()
    while (left := connection.execute(side.left).fetchone()) != (0,):
        if time.time() - began > ROUND_MAX_SECONDS:
            raise SystemExit(f"{side.name}: {left} are still open after {ROUND_MAX_SECONDS} s.")
        time.sleep(POLL_SECONDS)
    seconds = time.time() - began
    check_rows(connection, side.name)
    batch = connection.execute(BATCH, [FINISH]).fetchone()
    return Measured(
        per_second=count / seconds,
        enqueue_share=(enqueued - began) / seconds,
        round_trips=(round_trips(connection) - trips) / count,
        wal_bytes=(wal_position(connection) - wal) / count,
        batch=batch[0] if batch else None,
        worker_cpu_ms=(cpu_seconds(side.workers()) - cpu) * 1000 / count,
        postgres_cpu_ms=(cpu_seconds([postgres]) - postgres_cpu) * 1000 / count,
    )


def compare(sides: Sequence[Side], here: Place, options: argparse.Namespace) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {side.name: [] for side in sides}
    postgres = here.postgres_pid()
    connections = {name: here.connect(name) for name in {side.database for side in sides}}
    for number in range(options.rounds):
        for side in sides:
            with side.running():
                if number == 0 or side.name == "dbos":
                    one_round(side, connections[side.database], WARM_UP, postgres=postgres)
                found = one_round(side, connections[side.database], options.count, postgres=postgres)
            measured[side.name].append(found)
            print(f"  round {number + 1} {side.name:6} {found.line()}", flush=True)
            if side.name == "ours" and number == options.rounds - 1 and options.statements:
                print_statements(connections[side.database])
    return measured


def report(measured: dict[str, list[Measured]]) -> None:
    rates = {name: [one.per_second for one in found] for name, found in measured.items()}
    print("\nP1  medians of rounds (lowest–highest)")
    for name, found in rates.items():
        print(f"  {name:6} {spread(found)} sagas/s")
    for name in rates.keys() - {"ours"} if "ours" in rates else ():
        print(f"  ours : {name} = {ratio(rates['ours'], rates[name])} by the clock")
        ours, theirs = ([one.worker_cpu_ms + one.postgres_cpu_ms for one in measured[side]] for side in ("ours", name))
        print(f"  {name} : ours = {ratio(theirs, ours)} in milliseconds of CPU per saga")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.p1", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2_000, help="sagas per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", default="ours,dbos,chain")
    parser.add_argument("--dbos-python", default=str(PROJECT_DIR / ".local" / "bench-dbos" / "bin" / "python"))
    parser.add_argument("--statements", action="store_true", help="print our most expensive SQL statements")
    options = parser.parse_args()
    wanted = options.sides.split(",")
    if "dbos" in wanted and not Path(options.dbos_python).exists():
        sys.exit(f"{options.dbos_python} is not there: see benchmarks/README.md for DBOS's environment.")
    with place() as here:
        here.fresh_database(DBOS)
        for name in (OURS, DBOS):
            with here.connect(name) as connection:
                make_tables(connection)
        here.use_django()
        here.stack.start("relay", "worker")
        here.stack.wait_until_ready("relay", "worker")
        print(f"  worker's process id: {here.stack.programs['worker'].pid} (its children do the work)", flush=True)
        all_sides: list[Side] = [Ours(here), Dbos(here, options.dbos_python), Chain(here)]
        report(compare([side for side in all_sides if side.name in wanted], here, options))


if __name__ == "__main__":
    main()
