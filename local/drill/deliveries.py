"""How faults of processes and servers are delivered: kills, freezes, wipes, restarts.

Each method is one delivery (`local.drill.chaos`): it yields how long it has nothing to do, and marks its fault as
landed once the effect was seen. What it took away for the moment it gives back, whatever happens meanwhile.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.drill.chaos import Delivery, Told, patiently
from local.drill.counters import Metrics, Rows
from local.drill.disturbances import Disturbances
from local.drill.probes import REMOTE, Probes
from local.drill.schedule import Kind
from local.drill.service import REMOTE_CLAIM_SECONDS, WORKERS, Service

DOWN_SECONDS = 0.5
READY_SECONDS = 90.0
SLOW_SECONDS = 1.5
CHILD_TRIES = 20
ENDING_TRIES = 60
WAKING_TRIES = 30
FREEZE_TRIES = 8
# A slow provider takes 3 s: what the others were at when one was frozen is done by then.
OTHERS_DONE_SECONDS = 4.5
STALE = "outbox_stale_claims_total"

NOW = "SELECT statement_timestamp()"
CLAIMED_BEFORE = """
SELECT key, epoch FROM outbox_outboxmessage
WHERE state = 'open' AND claimed_at <= %s AND due_at > statement_timestamp() AND destination = ANY(%s)
"""
TAKEN_OVER = """
SELECT count(*) FROM outbox_outboxmessage m JOIN unnest(%s::uuid[], %s::int[]) AS seen(key, epoch)
  ON m.key = seen.key AND m.epoch > seen.epoch
"""
END_SESSIONS = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass
class Deliveries:
    """What each of these faults does to one service."""

    service: Service
    disturbances: Disturbances
    rows: Rows
    metrics: Metrics
    probes: Probes
    sessions_are_needed: bool = False

    def by_kind(self) -> dict[Kind, Callable[[Told], Delivery]]:
        """How each kind is delivered."""
        world = self.disturbances
        return {
            Kind.KILL: self.kill,
            Kind.KILL_ONE: self.kill_one,
            Kind.FREEZE: self.freeze,
            Kind.WIPE: self.wipe,
            Kind.RESTART_BROKER: self.restart_broker,
            Kind.RESTART_POSTGRES: self.restart_postgres,
            Kind.END_SESSIONS: self.end_sessions,
            Kind.LOSE_COMMIT: world.lose_commit,
            Kind.STOP_COMMIT: world.stop_commit,
            Kind.CUT: world.cut,
            Kind.DELAY: world.delay,
            Kind.BLACK_HOLE: world.black_hole,
            Kind.MOOD: world.mood,
            Kind.RING_AGAIN: world.ring_again,
            Kind.REDELIVER: world.redeliver,
            Kind.HOPELESS: world.hopeless,
        }

    def one_by_one(self) -> dict[Kind, Callable[[Told], Delivery]]:
        """The same, where each is to be measured: a kill must meet a worker that has something in hand."""
        return self.by_kind() | {Kind.KILL: self.kill_at_work}

    def kill(self, told: Told) -> Delivery:
        """SIGKILL to a process and all it forked; it is started again as a supervisor would."""
        name = told.fault.target
        yield from self._ready(name)
        with self._held(name):
            told.landed = self.service.kill(name) is not None
            if told.landed and name in WORKERS:
                self.probes.after_kill(name)
            yield DOWN_SECONDS
        self.service.start_again(name)

    def kill_at_work(self, told: Told) -> Delivery:
        """The same, to a worker that has something in hand: a provider that is slow for a moment sees to that."""
        if told.fault.target.startswith("remote"):
            self.disturbances.set_mood("payments", "slow")
            yield SLOW_SECONDS
        yield from self.kill(told)
        self.disturbances.set_mood("payments", "ok")

    def kill_one(self, told: Told) -> Delivery:
        """SIGKILL to one forked child, as when memory runs out; its parent forks another."""
        name = told.fault.target
        yield from self._ready(name)
        for _ in range(CHILD_TRIES):
            if self.service.kill_one(name, choice=int(told.fault.at_seconds * 10)):
                told.landed = True
                if name in WORKERS:
                    self.probes.after_kill(name)
                return
            yield DOWN_SECONDS

    def freeze(self, told: Told) -> Delivery:
        """SIGSTOP until what it had claimed was taken over, then SIGCONT: its late answer must count for nothing (I6).

        A provider that is slow meanwhile makes sure that it has claims; one that was frozen with none is woken and
        frozen again.
        """
        self.sessions_are_needed = True
        try:
            for _ in range(FREEZE_TRIES):
                yield from self._ready(told.fault.target)
                self.disturbances.set_mood("payments", "slow")
                yield 1.0
                yield from self._freeze_once(told)
                if told.landed:
                    return
        finally:
            self.sessions_are_needed = False

    def _ready(self, name: str) -> Delivery:
        """Waits for its target: what is killed while it starts was not at work."""
        gives_up_at = time.monotonic() + READY_SECONDS
        while not self.service.is_ready(name) and time.monotonic() < gives_up_at:
            yield DOWN_SECONDS

    def _freeze_once(self, told: Told) -> Delivery:
        name, stale_before = told.fault.target, self.metrics.total(STALE)
        [(began,)] = yield from patiently(lambda: self.rows.ask(NOW))
        with self._frozen([name]) as frozen:
            yield 0.2
            self.disturbances.set_mood("payments", "ok")
            yield OTHERS_DONE_SECONDS
            claims = yield from patiently(lambda: self.rows.ask(CLAIMED_BEFORE, began, list(REMOTE)))
            claims = claims if frozen else []
            keys, epochs = [key for key, _ in claims], [epoch for _, epoch in claims]
            gives_up_at = time.monotonic() + REMOTE_CLAIM_SECONDS + READY_SECONDS
            told.count = 0
            while keys and not told.count and time.monotonic() < gives_up_at:
                yield 0.5
                [(told.count,)] = yield from patiently(lambda: self.rows.ask(TAKEN_OVER, keys, epochs))
        for _ in range(WAKING_TRIES):
            if not told.count or told.landed:
                return
            yield DOWN_SECONDS
            told.landed = self.metrics.total(STALE) > stale_before

    def wipe(self, told: Told) -> Delivery:
        """The broker forgets everything while rings are under way: the workers are held up for a moment before."""
        broker = self.service.ground.broker
        resting = [name for name in WORKERS if name not in self.service.frozen | self.service.held]
        with self._frozen(resting):
            self.disturbances.ring_all()
            yield 0.3
            told.count = broker.wipe()
            told.landed = told.count > 0
        self.probes.after_wipe()

    def restart_broker(self, told: Told) -> Delivery:
        told.count = yield from self.service.ground.broker.restart()
        told.landed = True
        self.probes.after_broker_restart()

    def restart_postgres(self, told: Told) -> Delivery:
        """Immediate: no session ends in order; it comes back by its log, as after a power cut."""
        yield from self._sessions_spared()
        self.sessions_are_needed = True
        try:
            yield from self.service.ground.restart_postgres()
        finally:
            self.sessions_are_needed = False
        told.landed = True
        self.probes.after_postgres()

    def end_sessions(self, told: Told) -> Delivery:
        yield from self._sessions_spared()
        for _ in range(ENDING_TRIES):
            [(told.count,)] = yield from patiently(lambda: self.rows.ask(END_SESSIONS))
            if told.count:
                told.landed = True
                self.probes.after_postgres()
                return
            yield DOWN_SECONDS

    def _sessions_spared(self) -> Delivery:
        """Waits while a frozen worker needs its sessions, or Postgres is on its way back already."""
        gives_up_at = time.monotonic() + FREEZE_TRIES * READY_SECONDS
        while self.sessions_are_needed and time.monotonic() < gives_up_at:
            yield DOWN_SECONDS

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """Nobody revives it meanwhile."""
        self.service.held.add(name)
        try:
            yield
        finally:
            self.service.held.discard(name)

    @contextmanager
    def _frozen(self, names: list[str]) -> Iterator[list[str]]:
        frozen = [name for name in names if self.service.freeze(name)]
        self.service.frozen.update(frozen)
        try:
            yield frozen
        finally:
            for name in frozen:
                self.service.frozen.discard(name)
                self.service.thaw(name)
