"""When the attempt at hand must be over: one deadline for all its calls, a probe and what follows it.

Guarantees that whatever runs inside `ends_at`, in this thread, can see how much time is left.
Does not guarantee that anything stops: the client looks before and while it calls. Not inherited by new threads.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("attempt_ends_at", default=None)


@contextmanager
def ends_at(moment: float) -> Iterator[None]:
    """Everything inside must be over by `moment`, on the monotonic clock."""
    token = _ends_at.set(moment)
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining() -> float | None:
    """Seconds left, zero or less once it is over; None outside an attempt."""
    moment = _ends_at.get()
    return None if moment is None else moment - time.monotonic()
