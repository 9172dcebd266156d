"""Delivers a schedule, each fault at its moment, in one thread, and notes of each whether it landed.

The schedule's clock stands still while the service is too busy starting again: a slow machine is hit as often between
two breaths as a fast one, only later. Guarantees that a fault counts as landed only when its effect was seen: the
process is gone, messages were lost, sessions ended, a counter moved. Everything runs in the drill's main thread, for a
process ends with the thread that started it; so a fault is a generator that says for how many seconds it has nothing to
do.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import psycopg
import redis
from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from local.drill.schedule import Fault, Kind
from local.errors import LocalError

# What a fault does, and when it goes on; at its end it answers whether it landed.
Delivery = Generator[float, None, None]


# One fault met another: what a server says that has just been taken away.
AWAY = (psycopg.Error, redis.RedisError, KombuError, AMQPError, LocalError, OSError)
# How long a fault waits for a Postgres that another fault has just taken away.
AWAY_TRIES = 240
AWAY_SECONDS = 0.5
Found = TypeVar("Found")


def patiently(ask: Callable[[], Found]) -> Generator[float, None, Found]:
    """Asks Postgres until it answers; to be delegated to by a delivery."""
    for _ in range(AWAY_TRIES):
        try:
            return ask()
        except psycopg.OperationalError:
            yield AWAY_SECONDS
    return ask()


@dataclass
class Told:
    """What became of one fault."""

    fault: Fault
    delivered: bool = False
    landed: bool = False
    # How many: messages lost, sessions ended, rows delivered again.
    count: int = 0
    error: str = ""


@dataclass(frozen=True)
class Tally:
    """What became of many faults."""

    told: Sequence[Told]

    def count(self, *kinds: Kind) -> int:
        """How many messages, sessions or rows the faults of these kinds hit."""
        return sum(told.count for told in self.told if told.fault.kind in kinds)

    def planned(self) -> Counter[str]:
        return Counter(told.fault.label for told in self.told)

    def delivered(self) -> Counter[str]:
        return Counter(told.fault.label for told in self.told if told.delivered)

    def landed(self) -> Counter[str]:
        return Counter(told.fault.label for told in self.told if told.landed)


@dataclass
class Chaos:
    """An agenda of faults under way and to come. `elapsed` is the schedule's clock; it is over at `seconds`."""

    faults: Sequence[Fault]
    seconds: float
    deliver: Mapping[Kind, Callable[[Told], Delivery]]
    # Whether the service has breath enough for the schedule to go on.
    may_go_on: Callable[[], bool] = lambda: True
    # The next one waits until the one before is over.
    one_at_a_time: bool = False
    told: list[Told] = field(default_factory=list)
    # One line for each fault that is over.
    log: list[str] = field(default_factory=list)
    _agenda: list[tuple[float, int, Told, Delivery]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _to_come: list[Told] = field(default_factory=list)
    elapsed: float = 0.0
    _began: float = 0.0
    _looked_at: float = 0.0

    def begin(self, *, elapsed: float) -> None:
        """The schedule's clock starts, at this second."""
        self.elapsed = elapsed
        self._began = self._looked_at = time.monotonic()
        self.told = [Told(fault) for fault in self.faults]
        self._to_come = list(self.told)

    def go_on(self) -> None:
        """Does what is due by now."""
        now = time.monotonic()
        if self.may_go_on() and not self._must_wait:
            self.elapsed += now - self._looked_at
        self._looked_at = now
        while self._next_may_begin():
            told = self._to_come.pop(0)
            self._put(now, told, self.deliver[told.fault.kind](told))
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            _, _, told, delivery = heapq.heappop(self._agenda)
            told.delivered = True
            try:
                pause = next(delivery)
            except StopIteration:
                self._note(told)
                continue
            except AWAY as error:
                # One fault met another: Postgres was away when a row was to be looked at.
                told.error = str(error).splitlines()[0] if str(error) else type(error).__name__
                self._note(told)
                continue
            self._put(time.monotonic() + pause, told, delivery)

    @property
    def _must_wait(self) -> bool:
        return self.one_at_a_time and bool(self._agenda) and bool(self._to_come)

    def _next_may_begin(self) -> bool:
        return bool(self._to_come) and not self._must_wait and self._to_come[0].fault.at_seconds <= self.elapsed

    def end(self) -> None:
        """Gives up what is still under way: each delivery gives back what it took away."""
        for _, _, told, delivery in self._agenda:
            told.error = "given up when the drill ended"
            delivery.close()
            self._note(told)
        self._agenda.clear()
        self._to_come.clear()

    @property
    def is_over(self) -> bool:
        return self.elapsed >= self.seconds and not self._agenda and not self._to_come

    def _note(self, told: Told) -> None:
        """For whoever wants to know what happened when."""
        became = "landed" if told.landed else told.error or "did not land"
        number = f" ({told.count:,})" if told.count else ""
        self.log.append(f"{time.monotonic() - self._began:7.1f} s  over: {became}{number}  {str(told.fault).strip()}")

    def _put(self, due: float, told: Told, delivery: Delivery) -> None:
        heapq.heappush(self._agenda, (due, next(self._numbers), told, delivery))
