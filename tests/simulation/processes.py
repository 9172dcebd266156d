"""Processes: what a kill takes with it. Gates, turns and breaker readings live in one process and die with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from outbox import routing
from providers.gate import Gate

from .strands import Strand

if TYPE_CHECKING:
    from .world import World

# Kind of process -> (how many of them, threads of each).
KINDS = {"web": (2, 3), "worker": (2, 1), "remote": (2, 3), "relay": (1, 2), "desk": (1, 1)}
LOCAL_QUEUES = frozenset({"default", "steps", "ticks"})
# A process manager starts it again after a moment.
RESTART_SECONDS = (0.1, 3.0)


class Process:
    def __init__(self, world: World, kind: str, number: int) -> None:
        self.world = world
        self.kind = kind
        self.name = f"{kind}-{number}"
        self.strands: list[Strand] = []
        self.starts_at = 0.0
        self.frozen_until = 0.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.gates: dict[str, Gate] = {}
        self.turns: set[int] = set()
        self.stopping = False
        self.is_doomed = False
        self.skew = round(self.world.random.uniform(-2.0, 2.0), 3)

    # ── work ──

    @property
    def is_up(self) -> bool:
        return not self.is_doomed and not self.stopping and self.world.now >= self.starts_at and not self.is_frozen

    @property
    def is_frozen(self) -> bool:
        return self.world.now < self.frozen_until

    @property
    def has_room(self) -> bool:
        return self.is_up and sum(not strand.is_call for strand in self.strands) < KINDS[self.kind][1]

    def serves(self, queue: str) -> bool:
        return (queue in LOCAL_QUEUES) == (self.kind == "worker") and self.kind in {"worker", "remote"}

    def spawn(self, name: str, work: Callable[[], Any], *, is_call: bool = False) -> Strand:
        strand = Strand(name, self, work, is_call=is_call)
        self.strands.append(strand)
        return strand

    def gate(self, provider: str) -> Gate:
        if provider not in self.gates:
            self.gates[provider] = Gate(provider)
        return self.gates[provider]

    # ── what happens to it ──

    def doom(self) -> None:
        """Killed: every thread of it ends where it stands. The world buries it (`bury`) when the turn is its own."""
        self.is_doomed = True
        for strand in self.strands:
            strand.doomed = True

    def bury(self) -> None:
        """Lets each doomed thread unwind, without a trace in the database; another process takes its place later."""
        for strand in self.strands:
            while not strand.over and strand.runner is not None:
                self.world.stage.go(strand)
            strand.over = True
        self.strands = []
        self._begin_anew()
        self.starts_at = self.world.now + self.world.random.uniform(*RESTART_SECONDS)

    def freeze(self, seconds: float) -> None:
        self.frozen_until = self.world.now + seconds

    def stop(self) -> None:
        """Asked to stop: what is in flight ends, nothing new begins."""
        self.stopping = True

    def is_stopped(self) -> bool:
        return self.stopping and not self.strands

    def start_again(self) -> None:
        self._begin_anew()
        self.starts_at = self.world.now + self.world.random.uniform(*RESTART_SECONDS)


class TurnOfProcess:
    """Stands where outbox.remote keeps "one run of a process at a time": each simulated process has its own."""

    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world

    def acquire(self, *, blocking: bool) -> bool:
        turns = self._process().turns
        if id(self) in turns:
            return False
        turns.add(id(self))
        return True

    def release(self) -> None:
        self._process().turns.discard(id(self))

    def _process(self) -> Process:
        strand = self._world().stage.current
        assert strand is not None
        return strand.process


class CallThread:
    """Stands where providers.gate starts a thread per call: a strand of the same process, without a database."""

    def __init__(self, *, target: Callable[..., None], args: tuple[Any, ...], name: str, daemon: bool) -> None:
        self._work = partial(target, *args)
        self._name = name

    @classmethod
    def of(cls, world: Callable[[], World]) -> type[CallThread]:
        return type("CallThread", (cls,), {"_world": staticmethod(world)})

    def start(self) -> None:
        strand = self._world().stage.current
        strand.process.spawn(self._name, self._work, is_call=True)


def turns_of_processes(world: Callable[[], World]) -> Callable[[], None]:
    """Gives each remote destination a turn per simulated process; returns what puts the real ones back."""
    cells = []
    for destination in routing.all_inside():
        names = destination.run.__code__.co_freevars
        if destination.remote and "turn" in names:
            cells.append((destination.run.__closure__ or ())[names.index("turn")])
    real = [cell.cell_contents for cell in cells]
    for cell in cells:
        cell.cell_contents = TurnOfProcess(world)

    def restore() -> None:
        for cell, turn in zip(cells, real, strict=True):
            cell.cell_contents = turn

    return restore
