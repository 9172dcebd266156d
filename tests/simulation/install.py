"""Puts the simulated clock, broker, network, processes and chances where the service has the real ones.

Guarantee: everything is put back. Nothing of the service is changed but its surroundings: time, threads, HTTP, the
broker's client, ids and chance.
"""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import uuid_utils.compat
from django.conf import settings
from django.test import override_settings

from outbox import bell, heartbeat, low_water, remote, wakeup
from providers import backend
from providers.gate import gate as gate_of_a_process
from tests.support.crash import Crash

from . import clock, database
from .network import Adapter
from .processes import CallThread, turns_of_processes
from .strands import Stage, Strand
from .world import World

# Modules that read a clock by `time.…`.
CLOCKS = (
    "outbox.remote", "outbox.relay", "outbox.wakeup", "outbox.low_water", "outbox.operations",
    "providers.gate", "providers.calls", "providers.deadline", "providers.client", "providers.answers",
    "payments.webhooks", "idempotency.waiting",
)  # fmt: skip
EVENTS = ["order.*", "payment.*", "shipment.*", "stock.*", "message.*"]
_worlds: list[World] = []


def world() -> World:
    return _worlds[-1]


def subscriber() -> Any:
    """The transport that the settings name."""
    return world().subscriber


def channel() -> Any:
    """The channel that the settings name."""
    return SimpleNamespace(send=world().network.mail)


def simulated_settings() -> dict[str, Any]:
    here = __name__
    outside = {"BACKEND": f"{here}.subscriber", "TYPES": EVENTS}
    limits = {"BREAKER_FAILURES": 4, "BREAKER_OPEN_SECONDS": 5.0, "CALL_SLOTS": 3}
    return {
        "OUTBOX": {
            **settings.OUTBOX,
            "DESTINATIONS": {"outside": outside},
            "RETENTION_DAYS": 1,
            "INBOX_RETENTION_DAYS": 3,
        },
        "SAGAS": {**settings.SAGAS, "RETENTION_DAYS": 2, "STEP_MAX_ATTEMPTS": 4},
        "PROVIDERS": {name: {**given, **limits} for name, given in settings.PROVIDERS.items()},
        "NOTIFICATION_CHANNEL": {"BACKEND": f"{here}.channel"},
    }


class _Marks:
    """Low-water marks are a process's own, as its clock is."""

    def __init__(self) -> None:
        self._marks: dict[tuple[int, str], Any] = {}

    def get(self, name: str) -> Any:
        return self._marks.get((id(_strand().process), name))

    def pop(self, name: str, default: Any) -> Any:
        return self._marks.pop((id(_strand().process), name), default)

    def __setitem__(self, name: str, mark: Any) -> None:
        self._marks[id(_strand().process), name] = mark


@contextmanager
def stage() -> Iterator[Stage]:
    """Threads and a database for many seeds, one after the other."""
    with database.of_its_own() as settings_dict:
        threads = Stage(
            connect=lambda: database.Seam(world, settings_dict),
            connect_world=lambda: database.connect_world(settings_dict),
        )
        try:
            yield threads
        finally:
            threads.close()


@contextmanager
def simulated(seed: int, threads: Stage) -> Iterator[World]:
    """One seed's world in the place of the real one."""
    database.empty()
    state = random.getstate()
    random.seed(f"{seed}:engine")
    new = World(seed, threads)
    _worlds.append(new)
    ids = clock.Ids(new)
    time = clock.SimulatedTime(new)
    patches: list[Any] = [patch(f"{module}.time", time) for module in CLOCKS]
    patches += [
        patch.object(uuid_utils.compat, "_uuid7_int", ids.uuid7_int),
        patch.object(uuid_utils.compat, "_uuid4_int", ids.uuid4_int),
        patch("django.utils.timezone.now", lambda: clock.moment(new.now)),
        patch.object(bell, "_send", new.broker.send),
        patch.object(wakeup.WakeUpThread, "wake", lambda _: setattr(new, "notified", new.random.random() < 0.9)),
        patch.object(heartbeat, "stopping", lambda: _strand().process.stopping),
        patch.object(remote, "wait", _wait),
        patch.object(low_water, "_marks", _Marks()),
        patch.object(remote, "os", SimpleNamespace(_exit=_exit)),
        patch("providers.gate.threading", _threading()),
        patch("providers.calls.threading", _threading()),
        *[patch.object(module, "gate", _gate) for module in _modules_with_the_gate()],
        patch("providers.client.HTTPAdapter", type("WorldsAdapter", (Adapter,), {"world": staticmethod(world)})),
        override_settings(**simulated_settings()),
    ]
    for change in patches:
        change.__enter__()
    restore_turns = turns_of_processes(world)
    logging.disable(logging.CRITICAL)
    backend.forget()
    database.show(0.0)
    try:
        yield new
    finally:
        new.close()
        logging.disable(logging.NOTSET)
        restore_turns()
        for change in reversed(patches):
            change.__exit__(None, None, None)
        backend.forget()
        _worlds.pop()
        random.setstate(state)


def _strand() -> Strand:
    strand = world().stage.current
    assert strand is not None, "only a process's thread asks for this"
    return strand


def _modules_with_the_gate() -> list[Any]:
    """Some have imported the function by name."""
    real = gate_of_a_process
    return [module for module in list(sys.modules.values()) if getattr(module, "gate", None) is real]


def _gate(provider: str) -> Any:
    return _strand().process.gate(provider)


def _threading() -> Any:
    return SimpleNamespace(Thread=CallThread.of(world), Lock=threading.Lock, get_ident=lambda: id(_strand()))


def _wait(
    futures: Any, timeout: float | None = None, return_when: str = "ALL_COMPLETED"
) -> tuple[list[Any], list[Any]]:
    """concurrent.futures.wait, in the simulated time, and in one order."""
    waited = list(futures)

    def enough() -> bool:
        done = sum(future.done() for future in waited)
        return done == len(waited) or (done > 0 and return_when == "FIRST_COMPLETED")

    if not enough():
        until = None if timeout is None else world().now + timeout
        _strand().pause(until=until, waits_for=enough)
    return [f for f in waited if f.done()], [f for f in waited if not f.done()]


def _exit(status: int) -> None:
    """The process ends itself."""
    world().happened["a process ended itself"] += 1
    _strand().process.doom()
    raise Crash
