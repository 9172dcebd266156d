"""The broker between processes, and the subscriber outside: it may lose, double, delay and reorder everything.

Guarantee: none; that is the point (F2, F3, F7). The subscriber keeps what it got, as an independent record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outbox.bell import RING_EXPIRES_SECONDS
from outbox.envelope import Message, to_wire
from outbox.exceptions import DestinationUnavailable, MessageRejected
from outbox.routing import Inside

if TYPE_CHECKING:
    from .world import World


@dataclass(frozen=True, kw_only=True)
class Ring:
    """A task: answer for this destination, or run this tick."""

    name: str
    queue: str
    expires_at: float
    not_before: float
    is_tick: bool = False


class Broker:
    def __init__(self, world: World) -> None:
        self.world = world
        self.rings: list[Ring] = []
        self.down_until = 0.0

    @property
    def is_down(self) -> bool:
        return self.world.now < self.down_until

    def send(self, destination: Inside) -> bool:
        """Stands where outbox.bell hands a ring to Celery."""
        if self.is_down:
            return False
        for _ in range(self.world.fate.copies_of_ring()):
            self._put(name=destination.name, queue=destination.queue)
        return True

    def send_tick(self, name: str) -> None:
        if not self.is_down:
            for _ in range(self.world.fate.copies_of_ring()):
                self._put(name=name, queue="ticks", is_tick=True)

    def take(self, queues: Any) -> Ring | None:
        """Some ring that is there, not always the first."""
        now = self.world.now
        self.rings = [ring for ring in self.rings if ring.is_tick or now < ring.expires_at]
        there = [ring for ring in self.rings if queues(ring.queue) and ring.not_before <= now]
        if not there:
            return None
        ring = there[0] if self.world.random.random() < 0.6 else self.world.random.choice(there)
        if ring is not there[0]:
            self.world.happened["rings reordered"] += 1
        self.rings.remove(ring)
        return ring

    def wipe(self) -> None:
        self.world.tell(f"the broker loses all {len(self.rings)} rings")
        self.world.happened["the broker was wiped"] += 1
        self.rings = []

    def _put(self, *, name: str, queue: str, is_tick: bool = False) -> None:
        now = self.world.now
        delay = self.world.fate.delay_of_ring()
        self.rings.append(
            Ring(name=name, queue=queue, expires_at=now + RING_EXPIRES_SECONDS, not_before=now + delay, is_tick=is_tick)
        )


class Subscriber:
    """Somebody else's system behind a broker of its own: the transport of the destination `outside`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.got: list[dict[str, Any]] = []

    def send(self, messages: Sequence[Message]) -> list[MessageRejected | None]:
        fate = self.world.fate.of_send()
        if fate == "unavailable":
            raise DestinationUnavailable("the subscriber's broker takes nothing")
        taken = len(messages) if fate in {"ok", "unheard"} else self.world.random.randrange(len(messages))
        for message in messages[:taken]:
            self.got.append(to_wire(message))
            self.world.tell(
                f"outside gets {message.type} {message.sequence} of {self.world.label(message.correlation_id)}"
            )
        if fate == "unheard":
            raise ConnectionResetError("no confirm")
        if fate == "crash":
            self.world.happened["the relay died in the middle of a batch"] += 1
            strand = self.world.stage.current
            assert strand is not None
            strand.process.doom()
            strand.pause()
        if taken < len(messages):
            raise DestinationUnavailable("cut in the middle of a batch")
        return [None] * len(messages)

    def close(self) -> None:
        """Connects anew at the next send."""
