"""Delivers a schedule, each fault at its moment, in one thread, and notes of each whether it landed.

Guarantees that a fault counts as landed only when its effect was seen: the process is gone, messages were lost,
sessions ended, a counter moved. Everything runs in the drill's main thread, because a process that another thread
started would end with that thread; so a fault is a generator that says for how many seconds it has nothing to do.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

import psycopg
import redis

from local.drill.schedule import Fault, Kind, Schedule
from local.errors import LocalError

# What a fault does, and when it goes on; at its end it answers whether it landed.
Delivery = Iterator[float]


@dataclass
class Told:
    """What became of one fault."""

    fault: Fault
    delivered: bool = False
    landed: bool = False
    # How many: messages lost, sessions ended, rows delivered again.
    count: int = 0
    error: str = ""


@dataclass
class Chaos:
    """An agenda of faults under way and to come."""

    schedule: Schedule
    deliver: Mapping[Kind, Callable[[Told], Delivery]]
    told: list[Told] = field(default_factory=list)
    _agenda: list[tuple[float, int, Told, Delivery]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _began: float = 0.0

    def begin(self) -> None:
        """The schedule's clock starts."""
        self._began = time.monotonic()
        for fault in self.schedule.faults:
            told = Told(fault)
            self.told.append(told)
            self._put(self._began + fault.at_seconds, told, self.deliver[fault.kind](told))

    def go_on(self) -> None:
        """Does what is due by now."""
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            _, _, told, delivery = heapq.heappop(self._agenda)
            told.delivered = True
            try:
                pause = next(delivery)
            except StopIteration:
                continue
            except (psycopg.Error, redis.RedisError, LocalError, OSError) as error:
                # One fault met another: Postgres was away when a row was to be looked at.
                told.error = str(error).splitlines()[0] if str(error) else type(error).__name__
                continue
            self._put(time.monotonic() + pause, told, delivery)

    def end(self) -> None:
        """Gives up what is still under way: each delivery gives back what it took away."""
        for _, _, _, delivery in self._agenda:
            if isinstance(delivery, Generator):
                delivery.close()
        self._agenda.clear()

    @property
    def is_over(self) -> bool:
        return not self._agenda

    def count(self, *kinds: Kind) -> int:
        """How many messages, sessions or rows the faults of these kinds hit."""
        return sum(told.count for told in self.told if told.fault.kind in kinds)

    def planned(self) -> Counter[str]:
        return Counter(told.fault.label for told in self.told)

    def delivered(self) -> Counter[str]:
        return Counter(told.fault.label for told in self.told if told.delivered)

    def landed(self) -> Counter[str]:
        return Counter(told.fault.label for told in self.told if told.landed)

    def _put(self, due: float, told: Told, delivery: Delivery) -> None:
        heapq.heappush(self._agenda, (due, next(self._numbers), told, delivery))
