"""Strands: the threads of simulated processes. Real threads, of which exactly one runs, and only while the world waits.

Guarantee: what runs next is the world's choice alone, so one seed gives one order of steps. A strand that is doomed
never changes anything again: wherever it would go on, it meets Crash.
Not guaranteed: parallelism of any kind; nothing here runs at the same time as anything else.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connections

from tests.support.crash import Crash

if TYPE_CHECKING:
    from .processes import Process

Outcome = TypeVar("Outcome")


class Stage:
    """Whose turn it is: a strand's, or the world's (`current` is None)."""

    def __init__(self, *, connect: Callable[[], Any], connect_world: Callable[[], None]) -> None:
        self._world_thread = ThreadPoolExecutor(1, "simulated-world", connect_world)
        self.current: Strand | None = None
        # Prepares the connection of a new thread, in that thread.
        self.connect = connect
        self._back = _closed()
        self._idle: list[Runner] = []
        self._runners: list[Runner] = []

    def perform(self, act: Callable[[], Outcome]) -> Outcome:
        """Runs a world, in the world's own thread, with a connection of its own; the caller waits."""
        return self._world_thread.submit(act).result()

    def go(self, strand: Strand) -> None:
        """Lets a strand run until it pauses or ends."""
        if strand.runner is None:
            strand.runner = self._idle.pop() if self._idle else self._new_runner()
            strand.runner.strand = strand
        self.current = strand
        strand.runner.go.release()
        self._back.acquire()
        self.current = None
        if strand.over:
            self._idle.append(strand.runner)

    def pause(self, strand: Strand) -> None:
        """Called by the strand that runs: gives the turn back to the world."""
        assert strand.runner is not None
        self._back.release()
        strand.runner.go.acquire()

    def leave(self) -> None:
        """Called by a thread whose strand is over."""
        self._back.release()

    def close(self) -> None:
        """Ends every thread, and with it its connection."""
        for runner in self._runners:
            runner.strand = None
            runner.go.release()
            runner.join()
        self._world_thread.submit(connections.close_all).result()
        self._world_thread.shutdown()

    def _new_runner(self) -> Runner:
        runner = Runner(self, len(self._runners))
        self._runners.append(runner)
        runner.start()
        return runner


def _closed() -> threading.Lock:
    """A gate: whoever acquires it waits until somebody else releases it."""
    gate = threading.Lock()
    gate.acquire()
    return gate


class Runner(threading.Thread):
    """A thread that lends itself to one strand after the other, and keeps its connection."""

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__(name=f"simulated-{number}", daemon=True)
        self.stage = stage
        self.go = _closed()
        self.strand: Strand | None = None

    def hang_up(self) -> None:
        """The server ends this thread's session."""
        if self.connection.connection is not None:
            self.connection.connection.close()

    def run(self) -> None:
        self.connection = connections["default"]
        self.stage.connect()
        while True:
            self.go.acquire()
            strand = self.strand
            if strand is None:
                connections.close_all()
                return
            self._freshen()
            strand.perform()
            self.stage.leave()

    def _freshen(self) -> None:
        """A new thread has no session that an earlier one broke."""
        raw = self.connection.connection
        if raw is not None and raw.closed:
            self.connection.close()
        self.connection.errors_occurred = False


class Strand:
    """One thread of a simulated process. `ready_at` and `waits_for` say when it can go on."""

    def __init__(self, name: str, process: Process, work: Callable[[], Any], *, is_call: bool = False) -> None:
        self.name = name
        self.process = process
        self.work = work
        self.is_call = is_call
        self.runner: Runner | None = None
        self.over = False
        self.doomed = False
        self.crashed = False
        self.error: Exception | None = None
        self.result: Any = None
        self.ready_at: float | None = None
        self.waits_for: Callable[[], bool] | None = None
        # Raised where the strand goes on: what happened to it while it was away.
        self.fault: BaseException | None = None
        self.in_transaction = False
        self.paused_at = 0.0

    def __repr__(self) -> str:
        return f"{self.process.name}/{self.name}"

    def perform(self) -> None:
        try:
            self.result = contextvars.Context().run(self.work)
        except Crash:
            self.crashed = True
        except Exception as error:  # noqa: BLE001 - whatever ends a task is for the world to tell
            self.error = error
        self.over = True
        self.in_transaction = False

    def pause(self, *, until: float | None = None, waits_for: Callable[[], bool] | None = None) -> None:
        """Gives the turn away until then, or until what it waits for is there, whichever comes first."""
        if self.doomed:
            raise Crash
        self.ready_at, self.waits_for = until, waits_for
        self.process.world.stage.pause(self)
        self.ready_at = self.waits_for = None
        if self.doomed:
            raise Crash
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault

    def is_ready(self, now: float) -> bool:
        if self.doomed or self.fault is not None:
            return True
        if self.process.is_frozen:
            return False
        if self.waits_for is None and self.ready_at is None:
            return True
        if self.waits_for is not None and self.waits_for():
            return True
        return self.ready_at is not None and now >= self.ready_at
