"""One started program: its own process group, its log file, and an end that always comes.

Guarantees that the program is asked to end when the process that started it dies, however it dies (Linux), and that
`end` leaves nothing of its group alive. Does not restart anything: `local.supervisor` does.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
# What asks a command of ours to end.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What one that took too long may take to end its own programs.
ENDING_SECONDS = 20.0
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(parent_id: int, signal_number: int) -> None:
    """Runs in the child before exec: the kernel sends `signal_number` when the starting thread ends."""
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent_id:  # the parent died between fork and here
        os._exit(1)


@dataclass
class Program:
    """A program that can be started again and again under one name."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    end_signal: signal.Signals = signal.SIGTERM
    # Gives up root's rights before exec: Postgres refuses to run as root.
    drop_rights: Callable[[], None] | None = None
    process: subprocess.Popen[bytes] | None = None
    _log_began_at: int = 0

    def start(self) -> None:
        parent_id = os.getpid()

        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
            if self.drop_rights:
                self.drop_rights()
            end_with_parent(parent_id, self.end_signal)  # after the change of user, which would clear it

        with self.log.open("ab") as log, _signals_held():
            self._log_began_at = log.tell()
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - called from a single-threaded parent
            )

    def run_to_end(self, *, within_seconds: float | None = None) -> int:
        """Its exit status; an interrupt ends it first, and so does the bound, when there is one."""
        self.start()
        assert self.process is not None  # noqa: S101 - start() has just set it
        try:
            return self.process.wait(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            self.end(within_seconds=ENDING_SECONDS)
            return self.process.returncode
        finally:
            self.kill()

    def said(self) -> str:
        """What it wrote since its latest start."""
        with self.log.open("rb") as log:
            log.seek(self._log_began_at)
            return log.read().decode(errors="replace")

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_end(self) -> None:
        if self.process and self.is_running:
            self.process.send_signal(self.end_signal)

    def kill(self) -> None:
        """SIGKILL to the whole group, forked children included; returns when the program is gone."""
        if self.process is None:
            return
        kill_group(self.process.pid)
        self.process.wait()

    def end(self, *, within_seconds: float) -> None:
        self.ask_to_end()
        end_all([self], within_seconds=within_seconds)


def end_all(programs: Sequence[Program], *, within_seconds: float) -> None:
    """Waits for programs that were asked to end, then kills what is left of their groups."""
    deadline = time.monotonic() + within_seconds
    while any(program.is_running for program in programs) and time.monotonic() < deadline:
        time.sleep(0.02)
    for program in programs:
        program.kill()


@contextmanager
def _signals_held() -> Iterator[None]:
    """An interrupt between the fork and its bookkeeping would leave behind a program that nobody knows."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_group(group_id: int) -> None:
    try:
        os.killpg(group_id, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
