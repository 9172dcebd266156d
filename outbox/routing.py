"""Which destinations exist, and which events go where.

A destination inside is exactly one consumer, or one saga step and direction, so a batch is one kind of work and done
means one thing. A destination outside is one transport. Both are known by name; the names stand in the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from .conf import conf
from .envelope import Message
from .exceptions import UnknownDestination

# Answers a ring: claims, works, and returns how many messages it claimed.
Run = Callable[["Inside"], int]


@dataclass(frozen=True, kw_only=True)
class Inside:
    """A destination inside this project: rung through Celery, claimed by the worker that answers.

    `types` are the message types (with versions) that this process knows; others are left to the code that knows them
    (F11). `run` answers a ring. `on_dead` runs in the transaction that buries a message.
    """

    name: str
    queue: str
    types: frozenset[str]
    run: Run
    subscribes: frozenset[str] = frozenset()
    remote: bool = False
    on_dead: Callable[[Sequence[Message]], None] | None = None

    @property
    def claim_time(self) -> timedelta:
        settings = conf()
        return timedelta(seconds=settings.remote_claim_seconds if self.remote else settings.claim_seconds)

    @property
    def slots(self) -> int:
        return conf().queue_slots.get(self.queue, 1)


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A destination outside: the relay sends to it through a transport."""

    name: str
    backend: str
    patterns: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """What carries its messages, by the transport's module: "rabbitmq"."""
        return self.backend.rpartition(".")[0].rpartition(".")[2]

    def takes(self, event_type: str) -> bool:
        return any(fnmatchcase(event_type, pattern) for pattern in self.patterns)


_inside: dict[str, Inside] = {}


def register(destination: Inside) -> None:
    """Makes a destination inside known. One name, one consumer: a second registration is a mistake."""
    known = _inside.get(destination.name)
    if known is not None and known.run is not destination.run:
        raise ValueError(f"Destination {destination.name!r} is registered twice.")
    _inside[destination.name] = destination


def inside(name: str) -> Inside:
    """The destination inside of that name; raises UnknownDestination."""
    try:
        return _inside[name]
    except KeyError:
        raise UnknownDestination(f"No code of this process knows destination {name!r}.") from None


def all_inside() -> list[Inside]:
    return list(_inside.values())


def all_outside() -> list[Outside]:
    """The destinations outside, from settings."""
    return [
        Outside(
            name=name,
            backend=given["BACKEND"],
            patterns=tuple(given.get("TYPES", ["*"])),
            options=given.get("OPTIONS", {}),
        )
        for name, given in conf().destinations.items()
    ]


def subscribers(event_type: str) -> list[str]:
    """The names of all destinations that get events of this type."""
    names = [destination.name for destination in _inside.values() if event_type in destination.subscribes]
    return names + [destination.name for destination in all_outside() if destination.takes(event_type)]


def is_inside(name: str) -> bool:
    return name in _inside
