"""A running set of the service's processes over one database and one broker, each started and killed by name.

Guarantees that `end` leaves none of them alive. Does not start Postgres or Valkey (`local.servers`) and restarts
nothing by itself (`local.supervisor`).
"""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from local import ports
from local.errors import StartFailed
from local.folder import PROJECT_DIR, Folder
from local.heartbeats import Heartbeats
from local.process_table import KINDS, NAMES, ProcessKind
from local.program import Program, end_all
from local.screen import one_line

READY_SECONDS = 60.0
END_SECONDS = 6.0


@dataclass
class Stack:
    """Names are those of the process table; `worker-2` is a second one of the kind `worker`."""

    folder: Folder
    environment: Mapping[str, str]
    web_port: int = 0
    sandbox_port: int = 0
    programs: dict[str, Program] = field(default_factory=dict)
    _started_at: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.web_port = self.web_port or ports.choose(self.folder, "web")
        self.sandbox_port = self.sandbox_port or ports.choose(self.folder, "sandbox")

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def _heartbeats(self) -> Heartbeats:
        return Heartbeats(self.environment["DATABASE_URL"])

    def start(self, *names: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts the named processes, or all; one that runs is left alone. Returns at once: see `wait_until_ready`."""
        now = self._heartbeats.now()
        for name in names or NAMES:
            program = self.programs.get(name)
            if program and program.is_running:
                continue
            self.programs[name] = self._program(name, environment or {})
            self.programs[name].start()
            self._started_at[name] = now

    def kill(self, *names: str) -> None:
        """SIGKILL, forked children included: nothing is finished, nothing is given back."""
        for name in names or tuple(self.programs):
            self.programs[name].kill()

    def stop(self, *names: str, within_seconds: float = END_SECONDS) -> None:
        """The orderly end: SIGTERM to all of them at once, SIGKILL to what is left after the bound."""
        chosen = [self.programs[name] for name in names or tuple(self.programs)]
        for program in chosen:
            program.ask_to_end()
        end_all(chosen, within_seconds=within_seconds)

    def end(self) -> None:
        self.stop()
        self.programs.clear()

    def wait_until_ready(self, *names: str, within_seconds: float = READY_SECONDS) -> None:
        """Raises StartFailed with the name, the reason and the log of the first that is not ready."""
        deadline = time.monotonic() + within_seconds
        for name in names or tuple(self.programs):
            self._wait_for(name, deadline)

    def is_ready(self, name: str) -> bool:
        """It runs, its health page answers 200 where it has one, and its heartbeat was seen where it has one."""
        kind = kind_of(name)
        if not self.programs[name].is_running:
            return False
        if kind.health and not _answers_ok(self._fill(kind.place, name) + kind.health):
            return False
        return not kind.has_heartbeat or self._heartbeats.seen_since(name, self._started_at[name])

    def _wait_for(self, name: str, deadline: float) -> None:
        program = self.programs[name]
        while not self.is_ready(name):
            if not program.is_running:
                raise StartFailed(f"The process {name} ended while it started: {_tail(program)} (log: {program.log})")
            if time.monotonic() > deadline:
                raise StartFailed(f"The process {name} is not healthy yet: {_tail(program)} (log: {program.log})")
            time.sleep(0.1)

    def _program(self, name: str, extra: Mapping[str, str]) -> Program:
        kind = kind_of(name)
        logs = self.folder.path / "logs"
        logs.mkdir(exist_ok=True)
        log = logs / f"{name}.log"
        if name not in self.programs:  # a restart goes on in the same file
            log.write_text("")
        own = {key: self._fill(value, name) for key, value in kind.environment.items()}
        return Program(
            name=name,
            command=[self._fill(word, name) for word in kind.command],
            log=log,
            environment={**self.environment, **own, "PROCESS_NAME": name, **extra},
            directory=PROJECT_DIR,
        )

    def _fill(self, text: str, name: str) -> str:
        return text.format(
            name=name,
            stack=self.web_port,
            folder=self.folder.path,
            web_port=self.web_port,
            base_url=self.base_url,
            sandbox_port=self.sandbox_port,
            sandbox_url=self.sandbox_url,
        )


def kind_of(name: str) -> ProcessKind:
    """`worker` and `worker-2` are of one kind."""
    return KINDS[name] if name in KINDS else KINDS[name.rpartition("-")[0]]


def wait_until(happened: Callable[[], bool], *, within_seconds: float, what: str) -> None:
    """Asks again and again; raises StartFailed with `what` when it did not come."""
    deadline = time.monotonic() + within_seconds
    while not happened():
        if time.monotonic() > deadline:
            raise StartFailed(f"{what} did not happen within {within_seconds:g} s.")
        time.sleep(0.1)


def _answers_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http:// address
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _tail(program: Program) -> str:
    """The last line that a person would look at."""
    lines = [line.strip() for line in program.said().splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else "it said nothing"
