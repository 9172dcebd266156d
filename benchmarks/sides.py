"""The sides of P1: the same four steps in ours, in DBOS and in a bare Celery chain, over the same kind of rows.

Guarantee: each side starts the steps of the rows it is given and says when it began; who is not measured does not run,
or polls twice a second (ours). Not guaranteed: that a side has finished; `left` counts what is not.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg

from benchmarks.place import OURS, Place
from local.folder import PROJECT_DIR
from local.program import Program

DBOS = "bench_dbos"
STEPS = (1, 2, 3, 4)


class Side(Protocol):
    """One way to run the four steps. `start` returns when the enqueuing began, by the wall clock."""

    name: str
    database: str
    left: str

    def start(self, rows: Sequence[str]) -> float: ...
    def running(self) -> Any: ...
    def workers(self) -> list[int]: ...


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
