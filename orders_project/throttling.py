"""CallerThrottle: so many requests per caller and minute, counted by an atomic counter in Redis.

Guarantee: Redis costs a request at most `THROTTLE_REDIS_TIMEOUT_MS`, and nothing while it is known to be away; then
each process counts for itself, so a dead Redis never stops an order. It does not guarantee an exact limit over several
processes while Redis is away, nor a smooth rate: windows are whole minutes.
"""

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from orders_project.throttle_counter import RedisCounter

if TYPE_CHECKING:
    # REST framework's views import this module while they are being imported.
    from rest_framework.views import APIView

WINDOW_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What is left for one caller in the current window."""

    limit: int
    used: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers: the quota, and what remains of it for how long."""
        remaining = max(0, self.limit - self.used)
        return {
            "RateLimit-Policy": f'"caller";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"caller";r={remaining};t={self.reset_seconds}',
        }


class LocalCounter:
    """Counts in this process's memory; forgets a window when the next one begins, so it cannot grow for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[str, int] = {}

    def increment(self, caller: str, window: int) -> int:
        with self._lock:
            if window != self._window:
                self._window, self._counts = window, {}
            self._counts[caller] = self._counts.get(caller, 0) + 1
            return self._counts[caller]


class CallerThrottle(BaseThrottle):
    """REST framework's throttle: the user when there is one, else the address."""

    allowance: Allowance | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        limit = settings.THROTTLE_REQUESTS_PER_MINUTE
        if limit <= 0:
            return True
        self.allowance = self._count(_caller(request), limit)
        # The middleware reads it back to write the headers.
        request._request.allowance = self.allowance  # type: ignore[attr-defined]  # our own mark on the request
        return self.allowance.used <= limit

    def wait(self) -> float | None:
        return self.allowance.reset_seconds if self.allowance else None

    def _count(self, caller: str, limit: int) -> Allowance:
        now = time.time()
        window = int(now // WINDOW_SECONDS)
        used = _redis(settings.THROTTLE_REDIS_URL).increment(f"throttle:{caller}:{window}", WINDOW_SECONDS)
        if used is None:
            used = _LOCAL.increment(caller, window)
        return Allowance(limit=limit, used=used, reset_seconds=max(1, int((window + 1) * WINDOW_SECONDS - now)))


_LOCAL = LocalCounter()


@lru_cache(maxsize=4)
def _redis(url: str) -> RedisCounter:
    """One counter per process and address; it connects on first use, so after a fork."""
    return RedisCounter(url, budget_seconds=settings.THROTTLE_REDIS_TIMEOUT_MS / 1000)


def _caller(request: Request) -> str:
    if request.user is not None and request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"address:{request.META.get('REMOTE_ADDR', '')}"
