"""The two sides of P2 and the provider that both call: what is started, how sagas begin, how many are open.

Guarantees that whatever was started ends with its context. What a round does with them is `p2.py`'s.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from benchmarks.place import OURS, Place
from local.folder import PROJECT_DIR
from local.program import Program

DBOS = "bench_dbos_calls"
READY_SECONDS = 60.0
OUR_PROCESSES = ("relay", "worker", "remote-worker", "remote-worker-2")
# Asked each minute for its books, as any provider is: one that did not answer would open the breaker.
BESIDE = "sandbox"


class Side(Protocol):
    """One way to run the saga, with `slots` calls under way per process. `open` and `failed` count sagas."""

    name: str
    slots: int
    database: str
    open: str
    failed: str

    def start(self, rows: Sequence[str]) -> None: ...
    def running(self) -> Any: ...
    def workers(self) -> list[int]: ...


@dataclass
class Provider:
    """The slow provider, as a process of its own."""

    here: Place
    url: str = ""
    pid: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        provider = _program(self.here, "slow-provider", [sys.executable, "-m", "benchmarks.slow_provider"], {})
        with _ends(provider):
            _wait_for("port", provider)
            self.url = f"http://127.0.0.1:{provider.said().split()[1]}"
            self.pid = provider.pid or 0
            yield

    def figures(self) -> dict[str, float]:
        """What it counted: `call_seconds` since its start, the rest since `forget`."""
        return self._ask("GET", "/figures")

    def forget(self) -> None:
        self._ask("DELETE", "/calls")

    def _ask(self, method: str, path: str) -> dict[str, float]:
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answered: dict[str, float] = json.load(answer)
        return answered


@dataclass
class Ours:
    """The relay, one worker of two processes for the local steps, two remote workers for the calls."""

    here: Place
    slots: int
    name: str = "ours"
    database: str = OURS
    open: str = "SELECT /* bench-own */ count(*) FROM sagas_saga WHERE status = 'running'"
    failed: str = (
        "SELECT /* bench-own */ count(*) FROM sagas_saga WHERE status NOT IN ('running', 'completed')"
        " OR id IN (SELECT saga_id FROM sagas_sagastep WHERE attempts > 1)"
    )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Alive from its first round on; beside the other side's rounds it polls twice a second."""
        if not self.here.stack.programs:
            slots = {"PROVIDER_CALL_SLOTS": str(self.slots), "REMOTE_WORKER_COUNT": "2"}
            self.here.stack.start(BESIDE, *OUR_PROCESSES, environment=slots)
            self.here.stack.wait_until_ready(BESIDE, *OUR_PROCESSES)
        yield

    def workers(self) -> list[int]:
        return [program.pid for name, program in self.here.stack.programs.items() if program.pid and name != BESIDE]

    def start(self, rows: Sequence[str]) -> None:
        from django.db import transaction

        from benchmarks.sagas import TWO_CALLS
        from sagas import lifecycle

        with transaction.atomic():
            lifecycle.start(TWO_CALLS, [(UUID(row), {}) for row in rows])


@dataclass
class Dbos:
    """Two worker processes and one that enqueues, in DBOS's own environment, alive for their own rounds only."""

    here: Place
    slots: int
    python: str
    name: str = "dbos"
    database: str = DBOS
    open: str = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
    failed: str = "SELECT count(*) FROM dbos.workflow_status WHERE status NOT IN ('ENQUEUED', 'PENDING', 'SUCCESS')"
    _enqueuer: subprocess.Popen[str] | None = None
    _workers: list[int] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        environment = {
            "BENCH_DBOS_URL": self.here.postgres.url(DBOS),
            "BENCH_PROVIDER_URL": self.here.environment["BENCH_PROVIDER_URL"],
            "BENCH_CALL_SLOTS": str(self.slots),
        }
        self._workers.clear()
        with ExitStack() as ending:
            for number in ("1", "2"):
                worker = _program(self.here, f"dbos-{number}", self._command("worker", number), environment)
                ending.enter_context(_ends(worker))
                _wait_for("ready", worker)
                self._workers.append(worker.pid or 0)
            self._enqueuer = subprocess.Popen(
                self._command("enqueue"),
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ending.callback(self._enqueuer.kill)
            yield

    def start(self, rows: Sequence[str]) -> None:
        assert self._enqueuer
        assert self._enqueuer.stdin
        assert self._enqueuer.stdout
        print(json.dumps(list(rows)), file=self._enqueuer.stdin, flush=True)
        self._enqueuer.stdout.readline()

    def workers(self) -> list[int]:
        return self._workers

    def _command(self, *arguments: str) -> list[str]:
        return [self.python, str(PROJECT_DIR / "benchmarks" / "dbos_calls.py"), *arguments]


def _program(here: Place, name: str, command: Sequence[str], environment: dict[str, str]) -> Program:
    log = here.folder.path / "logs" / f"{name}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("")
    return Program(name=name, command=command, log=log, environment=os.environ | environment, directory=PROJECT_DIR)


@contextmanager
def _ends(program: Program) -> Iterator[None]:
    program.start()
    try:
        yield
    finally:
        program.kill()


def _wait_for(word: str, program: Program) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while word not in program.said():
        if not program.is_running or time.monotonic() > deadline:
            raise SystemExit(f"{program.name} did not start: {program.said()[-1000:]}")
        time.sleep(0.1)
