"""Keeps the processes of a stack alive: one that ends is started again, visibly and not in a hurry.

Guarantees that a process that keeps ending costs at most one start per `MAX_PAUSE_SECONDS`. Does not guarantee health:
a process that hangs without ending is the heartbeats' and the operator's matter.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from local.screen import Screen
from local.stack import Stack

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0
# One that ran this long is taken as well again.
WELL_SECONDS = 60.0
LOOK_EVERY_SECONDS = 0.2


@dataclass
class Restart:
    """What is known about one process: since when it runs, how often it ended of late, when it may start again."""

    running_since: float
    endings: int = 0
    due_at: float | None = None


@dataclass
class Supervisor:
    """Watches until an exception (Ctrl-C) ends it."""

    stack: Stack
    screen: Screen
    # Told after each restart: process ids have changed.
    on_restart: Callable[[], object]
    _restarts: dict[str, Restart] = field(default_factory=dict)

    def watch(self) -> None:
        while True:
            self.look(now=time.monotonic())
            time.sleep(LOOK_EVERY_SECONDS)

    def look(self, *, now: float) -> None:
        """One look at every process."""
        for name, program in self.stack.programs.items():
            restart = self._restarts.setdefault(name, Restart(running_since=now))
            if program.is_running:
                continue
            if restart.due_at is None:
                self._note_ending(name, restart, now)
            elif now >= restart.due_at:
                self._start_again(name, restart, now)

    def _note_ending(self, name: str, restart: Restart, now: float) -> None:
        if now - restart.running_since > WELL_SECONDS:
            restart.endings = 0
        pause = min(FIRST_PAUSE_SECONDS * 2**restart.endings, MAX_PAUSE_SECONDS)
        restart.endings += 1
        restart.due_at = now + pause
        program = self.stack.programs[name]
        status = program.process.returncode if program.process else None
        self.screen.step(f"{name} ended with status {status}; it starts again in {pause:g} s (log: {program.log})")

    def _start_again(self, name: str, restart: Restart, now: float) -> None:
        self.stack.start(name)
        restart.running_since, restart.due_at = now, None
        self.on_restart()
        self.screen.step(f"{name} runs again")
