"""Wraps the functions of crash points, so that a fault can fire before or after one of their calls.

Guarantee: without a fault to fire the functions do what they always do. Not guaranteed: that a point is passed at all;
the test that waits for its mark finds out.
"""

import functools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from . import switch
from .faults import DOUBLE, FAULTS, LOSE
from .seam import Passage, Seam, owner_of
from .switch import Armed

# What a frozen call is part of: when it returns, whatever woke up has done all that it will do.
ENCLOSING = ("outbox.consumer:deliver", "outbox.relay:send_due", "idempotency.decorators:_execute")


class HasSeam(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def seam(self) -> Seam | None: ...


_lock = threading.Lock()
_passages: Counter[str] = Counter()
_running: set[object] = set()
_frozen_in: dict[object, Armed] = {}


def arm(points: Iterable[HasSeam]) -> None:
    """Arms every function once, with all points that are there, in processes of their kind."""
    kind = os.environ.get("PROCESS_NAME", "").rstrip("-0123456789")
    seams: dict[str, dict[str, Seam]] = {}
    for point in points:
        if point.seam and point.seam.process == kind:
            seams.setdefault(point.seam.function, {})[point.name] = point.seam
    for function, by_point in seams.items():
        _replace(function, functools.partial(_armed, by_point))
    for function in ENCLOSING:
        _replace(function, _enclosing)


def _replace(function: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    owner, name = owner_of(function)
    setattr(owner, name, wrap(getattr(owner, name)))


def _armed(seams: dict[str, Seam], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        armed = next((one for one in switch.read() if one.point in seams and one.is_ready), None)
        if armed is None:
            return function(*args, **kwargs)
        seam = seams[armed.point]
        if seam.after:
            result = function(*args, **kwargs)
            _pass(armed, seam, Passage(args, kwargs, result))
            return result
        fired = _pass(armed, seam, Passage(args, kwargs))
        if fired and armed.fault == LOSE:
            return True
        if fired and armed.fault == DOUBLE:
            function(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def _pass(armed: Armed, seam: Seam, passage: Passage) -> bool:
    """Fires if this is the call; tells whether it did."""
    if seam.concerns and not seam.concerns(passage):
        return False
    with _lock:
        _passages[str(armed.mark)] += 1
        if _passages[str(armed.mark)] != seam.nth or not armed.take(encloses=len(_running)):
            return False
        _frozen_in.update(dict.fromkeys(list(_running), armed))
    FAULTS[armed.fault](armed)
    return True


def _enclosing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        token = object()
        _running.add(token)
        try:
            return function(*args, **kwargs)
        finally:
            _running.discard(token)
            _end(token)

    return call


def _end(token: object) -> None:
    armed = _frozen_in.pop(token, None)
    if armed and armed not in _frozen_in.values():
        armed.over.touch()
