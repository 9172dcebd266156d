"""The schedule of a drill: one seed, one list of faults, with the second at which each is delivered.

Guarantees that the same seed, length and broker give the same schedule, and that every schedule holds each kind of
fault at least once. Pure: delivers nothing. Not guaranteed: that a fault lands; who delivers it finds out
(`local.drill.chaos`).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

# A freeze lasts longer than a claim; below this there is no room for one and for Postgres' faults after it.
SHORTEST_SECONDS = 45.0
ROUND_SECONDS = 60.0


class Kind(StrEnum):
    """What is done to the service; the text is what the table says."""

    KILL = "killed"
    KILL_ONE = "one process killed"
    FREEZE = "frozen past its claim"
    WIPE = "broker wiped"
    RESTART_BROKER = "broker killed and restarted"
    RESTART_POSTGRES = "Postgres killed and restarted"
    END_SESSIONS = "all database sessions ended"
    LOSE_COMMIT = "COMMIT done, its reply lost"
    STOP_COMMIT = "COMMIT cut off before Postgres"
    CUT = "connections cut"
    DELAY = "connections delayed"
    BLACK_HOLE = "connections silent"
    MOOD = "provider in a mood"
    RING_AGAIN = "old rings replayed"
    REDELIVER = "done messages delivered again"
    HOPELESS = "hopeless message"


KILLS = (Kind.KILL, Kind.KILL_ONE)


@dataclass(frozen=True, kw_only=True, order=True)
class Fault:
    """One fault: when, what, to whom, and for how long where that matters."""

    at_seconds: float
    kind: Kind
    target: str = ""
    for_seconds: float = 0.0

    @property
    def label(self) -> str:
        """Its row in the table: `worker` and `worker-2` are of one kind."""
        kind_of_process = self.target.rstrip("-0123456789")
        return f"{self.kind}: {kind_of_process}" if self.kind in KILLS else str(self.kind)

    def __str__(self) -> str:
        length = f" for {self.for_seconds:.1f} s" if self.for_seconds else ""
        target = f": {self.target}" if self.target else ""
        return f"{self.at_seconds:7.1f} s  {self.kind}{target}{length}"


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Some faults of one kind, spread over a stretch of each round (shares of it, from 0 to 1)."""

    kind: Kind
    targets: tuple[str, ...] = ("",)
    times: int = 1
    begins: float = 0.03
    ends: float = 0.97
    for_seconds: tuple[float, float] = (0.0, 0.0)


# The frozen worker keeps its sessions while it is frozen, or its late answer would be an error and not a stale claim:
# what ends sessions comes after the freeze and its retries. Its twin is killed meanwhile, never it.
FROZEN = "remote-worker-2"
FREEZE_ENDS = 0.46

ROUND = (
    _Part(kind=Kind.FREEZE, targets=(FROZEN,), begins=0.05, ends=0.08),
    _Part(kind=Kind.LOSE_COMMIT, begins=0.10, ends=0.16),
    _Part(kind=Kind.STOP_COMMIT, begins=0.18, ends=0.24),
    _Part(kind=Kind.WIPE, times=2, begins=0.12, ends=0.80),
    _Part(kind=Kind.RESTART_BROKER, begins=0.84, ends=0.90),
    _Part(kind=Kind.RESTART_POSTGRES, times=2, begins=FREEZE_ENDS, ends=0.80),
    _Part(kind=Kind.END_SESSIONS, begins=0.82, ends=0.95),
    _Part(kind=Kind.CUT, targets=("web to Postgres", "workers to Postgres"), times=2),
    _Part(kind=Kind.CUT, targets=("workers to the broker",), begins=0.3),
    _Part(kind=Kind.CUT, targets=("workers to the providers",), times=2),
    _Part(kind=Kind.DELAY, targets=("workers to Postgres",), begins=0.5, ends=0.7, for_seconds=(2, 4)),
    _Part(kind=Kind.DELAY, targets=("workers to the providers",), begins=0.3, for_seconds=(2, 4)),
    _Part(kind=Kind.BLACK_HOLE, targets=("workers to the providers",), begins=0.5, for_seconds=(2, 4)),
    _Part(
        kind=Kind.MOOD,
        targets=("payments flaky", "shipping down", "payments dead", "shipping flaky", "payments forgetful"),
        times=4,
        begins=0.3,
        ends=0.95,
        for_seconds=(2, 5),
    ),
    _Part(kind=Kind.RING_AGAIN, times=2),
    _Part(kind=Kind.REDELIVER, times=2, begins=0.2),
    _Part(kind=Kind.HOPELESS, begins=0.2, ends=0.8),
    _Part(kind=Kind.KILL, targets=("remote-worker",), times=4),
    _Part(kind=Kind.KILL, targets=("worker", "worker-2"), times=3),
    _Part(kind=Kind.KILL, targets=("relay", "relay-2"), times=5),
    _Part(kind=Kind.KILL, targets=("beat",), times=3),
    _Part(kind=Kind.KILL, targets=("web",), begins=0.28),
    _Part(kind=Kind.KILL, targets=("sandbox",), times=2, begins=0.28),
    _Part(kind=Kind.KILL_ONE, targets=("worker", "worker-2"), times=20),
    _Part(kind=Kind.KILL_ONE, targets=("web",), times=4, begins=0.28),
)


# One at a time, while nothing else is wrong: what is measured here is the recovery from this fault and from no other.
CALM = (
    Fault(at_seconds=1.0, kind=Kind.KILL, target="remote-worker"),
    Fault(at_seconds=6.0, kind=Kind.KILL, target="worker"),
    Fault(at_seconds=12.0, kind=Kind.WIPE),
    Fault(at_seconds=15.0, kind=Kind.RESTART_BROKER),
    Fault(at_seconds=20.0, kind=Kind.RESTART_POSTGRES),
)
CALM_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What is delivered, in order of time: `faults` on top of each other, then `calm` ones, each by itself."""

    seed: int
    broker: str
    seconds: float
    faults: tuple[Fault, ...]
    calm: tuple[Fault, ...]

    @property
    def all_seconds(self) -> float:
        return self.seconds + CALM_SECONDS

    def lines(self) -> Iterator[str]:
        yield f"Seed {self.seed} on {self.broker}: {len(self.faults)} faults in {self.seconds:g} s"
        yield from map(str, self.faults)
        yield f"Then {len(self.calm)} faults, each by itself, to measure the recovery"
        yield from map(str, self.calm)


def plan(*, seed: int, seconds: float, broker: str, owns_postgres: bool = True) -> Schedule:
    """The seed's schedule. Sessions are ended where it would restart a Postgres that is not the drill's own."""
    if seconds < SHORTEST_SECONDS:
        raise ValueError(f"a drill places orders for at least {SHORTEST_SECONDS:g} s")
    dice = random.Random(f"{seed}/{broker}/{seconds:g}")
    rounds = max(1, round(seconds / ROUND_SECONDS))
    faults = [
        fault
        for number in range(rounds)
        for part in ROUND
        for fault in _of_part(part, dice, begins=number * seconds / rounds, seconds=seconds / rounds)
    ]
    calm = [replace(fault, at_seconds=seconds + fault.at_seconds) for fault in CALM]
    if not owns_postgres:
        faults, calm = ([_without_restart(fault) for fault in some] for some in (faults, calm))
    return Schedule(seed=seed, broker=broker, seconds=seconds, faults=tuple(sorted(faults)), calm=tuple(calm))


def _of_part(part: _Part, dice: random.Random, *, begins: float, seconds: float) -> Iterator[Fault]:
    """Spread evenly, each somewhere in its own share, so that no seed delivers all of a kind at once."""
    share = (part.ends - part.begins) / part.times
    first_target = dice.randrange(len(part.targets))
    for number in range(part.times):
        moment = part.begins + share * (number + dice.random())
        yield Fault(
            at_seconds=round(begins + seconds * moment, 1),
            kind=part.kind,
            target=part.targets[(first_target + number) % len(part.targets)],
            for_seconds=round(dice.uniform(*part.for_seconds), 1),
        )


def _without_restart(fault: Fault) -> Fault:
    if fault.kind != Kind.RESTART_POSTGRES:
        return fault
    return Fault(at_seconds=fault.at_seconds, kind=Kind.END_SESSIONS)
