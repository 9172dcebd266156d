"""How many threads of this process wait for twins, so that a storm of retries cannot take them all.

Guarantee: once the allowed share of threads has waited for longer than a moment, a further claim waits only for a
moment itself. A claim without a twin is not held up by this: it never waits.
Not guaranteed: a limit over several processes; each has its own threads to protect.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Longer than a claim takes when nobody holds its key, shorter than what a person notices.
MOMENT_SECONDS: Final = 0.25


class WaitingThreads:
    """The claims under way in this process, by the time they began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: dict[object, float] = {}

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Around a claim, which waits if it has a twin."""
        token = object()
        with self._lock:
            self._began[token] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._began[token]

    def count(self) -> int:
        """Claims that have been under way for longer than a moment: they wait for their twins."""
        limit = time.monotonic() - MOMENT_SECONDS
        with self._lock:
            return sum(began <= limit for began in self._began.values())


waiting_threads = WaitingThreads()
