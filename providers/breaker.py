"""One breaker per provider, shared by all processes through its row, by guarded UPDATEs on the database's clock.

Guarantees: after `retry_at` exactly one trial call over all processes; its success closes, its failure opens again for
longer (doubling, capped, jittered); a trial whose holder died is given up by the clock.
Does not guarantee that a call started before the opening sees it. Costs one short statement per use; `gate.py` caches.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from providers.conf import ProviderSettings
from providers.models import BreakerState

# A trial is one call; its holder may need this much longer than the call's deadline to report it.
TRIAL_MARGIN_SECONDS = 5.0
JITTER = 0.25
LOOK_AGAIN = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The row as it was read; `now` is the database's clock at that moment."""

    state: str
    failures: int
    epoch: int
    retry_at: datetime | None
    now: datetime

    def paused_until(self, *, elapsed: timedelta) -> datetime | None:
        """When to ask again, or None when calls, or a trial, may start."""
        now = self.now + elapsed
        if self.retry_at is None or self.retry_at <= now:
            return None
        # Somebody's trial is under way: it mostly ends long before its lease does.
        return min(self.retry_at, now + LOOK_AGAIN) if self.state == BreakerState.HALF_OPEN else self.retry_at


def read(provider: str) -> Reading:
    with connection.cursor() as cursor:
        cursor.execute(READ, {"provider": provider})
        state, failures, epoch, retry_at, now = cursor.fetchone()
    return Reading(state=state, failures=failures, epoch=epoch, retry_at=retry_at, now=now)


def take_trial(provider: str, *, epoch: int, limits: ProviderSettings) -> int | None:
    """The trial's epoch for exactly one caller once `retry_at` has passed; None for everybody else."""
    lease_seconds = limits.total_deadline_seconds + TRIAL_MARGIN_SECONDS
    return _change(TAKE_TRIAL, {"provider": provider, "epoch": epoch, "lease_seconds": lease_seconds})


def give_back_trial(provider: str, *, epoch: int) -> None:
    """A trial that found no call to make: the next caller may take it at once."""
    _change(GIVE_BACK_TRIAL, {"provider": provider, "epoch": epoch})


def close_after_trial(provider: str, *, epoch: int) -> None:
    _change(CLOSE_AFTER_TRIAL, {"provider": provider, "epoch": epoch})


def open_after_trial(provider: str, *, epoch: int, limits: ProviderSettings, at_least_seconds: float = 0.0) -> None:
    parameters = _wait(limits, at_least_seconds=at_least_seconds) | {"provider": provider, "epoch": epoch}
    _change(OPEN, parameters | {"reason": "the trial call failed"})


def count_failures(provider: str, *, failures: int, limits: ProviderSettings) -> None:
    """Counts failures in a row while closed, and opens at the limit."""
    _ensure_row(provider)
    with connection.cursor() as cursor:
        cursor.execute(COUNT_FAILURES, {"provider": provider, "failures": failures})
        row = cursor.fetchone()
    if row and row[0] >= limits.breaker_failures:
        parameters = _wait(limits) | {"provider": provider, "epoch": row[1]}
        _change(OPEN, parameters | {"reason": f"{row[0]} failures in a row"})


def forget_failures(provider: str) -> None:
    _change(FORGET_FAILURES, {"provider": provider})


def pause(provider: str, *, seconds: float) -> None:
    """The provider asked for a moment: no call starts for `seconds`, whatever the state; then all goes on as before."""
    _ensure_row(provider)
    _change(PAUSE, {"provider": provider, "seconds": seconds})


def hold(provider: str, *, seconds: float, reason: str) -> None:
    """Opens it for `seconds`, or keeps it open for at least as long; then a trial decides."""
    _ensure_row(provider)
    _change(HOLD, {"provider": provider, "seconds": seconds, "reason": reason[:255]})


def close(provider: str, *, reason: str) -> None:
    """Closes it whatever its state."""
    _change(CLOSE, {"provider": provider, "reason": reason[:255]})


def let_try(provider: str, *, reason: str) -> bool:
    """The next call may be the trial, whatever wait is left; False when it is not open, or no wait is left."""
    return _change(LET_TRY, {"provider": provider, "reason": reason[:255]}) is not None


def is_at(provider: str, *, epoch: int) -> bool:
    """Whether nothing changed its state since this epoch was read; nothing will until the transaction ends."""
    _ensure_row(provider)
    with connection.cursor() as cursor:
        cursor.execute(LOCK, {"provider": provider})
        return bool(cursor.fetchone()[0] == epoch)


def _wait(limits: ProviderSettings, *, at_least_seconds: float = 0.0) -> dict[str, str | int | float]:
    """Parameters of the wait, doubled per trip inside the statement. Jitter: workers of many shops, one provider."""
    return {
        "open_seconds": limits.breaker_open_seconds * random.uniform(1.0, 1.0 + JITTER),
        "open_max_seconds": limits.breaker_open_max_seconds,
        "at_least_seconds": min(at_least_seconds, limits.retry_after_max_seconds),
    }


def _ensure_row(provider: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ENSURE_ROW, {"provider": provider})


def _change(statement: str, parameters: dict[str, str | int | float]) -> int | None:
    """The new epoch when the guarded UPDATE touched the row, None when it did not."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = cursor.fetchone()
    return row[0] if row else None


READ = """
    SELECT coalesce(b.state, 'closed'), coalesce(b.failures, 0), coalesce(b.epoch, 0), b.retry_at, clock_timestamp()
    FROM (SELECT 1) AS one LEFT JOIN providers_breaker b ON b.provider = %(provider)s
"""
ENSURE_ROW = """
    INSERT INTO providers_breaker (provider, state, failures, trips, epoch, reason)
    VALUES (%(provider)s, 'closed', 0, 0, 0, '') ON CONFLICT (provider) DO NOTHING
"""
TAKE_TRIAL = """
    UPDATE providers_breaker
    SET state = 'half_open', epoch = epoch + 1, updated_at = clock_timestamp(),
        retry_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
    WHERE provider = %(provider)s AND epoch = %(epoch)s AND state <> 'closed' AND retry_at <= clock_timestamp()
    RETURNING epoch
"""
GIVE_BACK_TRIAL = """
    UPDATE providers_breaker
    SET state = 'open', epoch = epoch + 1, retry_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE provider = %(provider)s AND epoch = %(epoch)s AND state = 'half_open' RETURNING epoch
"""
CLOSE_AFTER_TRIAL = """
    UPDATE providers_breaker
    SET state = 'closed', failures = 0, trips = 0, epoch = epoch + 1, opened_at = NULL, retry_at = NULL, reason = '',
        updated_at = clock_timestamp()
    WHERE provider = %(provider)s AND epoch = %(epoch)s AND state = 'half_open' RETURNING epoch
"""
# The doubling is bounded before it is computed: 2 ^ trips would overflow after a very long outage.
OPEN = """
    UPDATE providers_breaker
    SET state = 'open', trips = trips + 1, epoch = epoch + 1, reason = %(reason)s, updated_at = clock_timestamp(),
        opened_at = coalesce(opened_at, clock_timestamp()),
        -- A longer pause that the provider asked for still holds; the lease of a trial that has ended does not.
        retry_at = greatest(CASE WHEN state = 'closed' THEN retry_at END,
            clock_timestamp() + make_interval(secs => greatest(
                %(at_least_seconds)s, least(%(open_max_seconds)s, %(open_seconds)s * (2 ^ least(trips, 20))))))
    WHERE provider = %(provider)s AND epoch = %(epoch)s AND state <> 'open' RETURNING epoch
"""
COUNT_FAILURES = """
    UPDATE providers_breaker SET failures = failures + %(failures)s, updated_at = clock_timestamp()
    WHERE provider = %(provider)s AND state = 'closed' RETURNING failures, epoch
"""
FORGET_FAILURES = """
    UPDATE providers_breaker SET failures = 0, updated_at = clock_timestamp()
    WHERE provider = %(provider)s AND state = 'closed' AND failures > 0 RETURNING epoch
"""
PAUSE = """
    UPDATE providers_breaker
    SET retry_at = greatest(retry_at, clock_timestamp() + make_interval(secs => %(seconds)s)),
        updated_at = clock_timestamp()
    WHERE provider = %(provider)s RETURNING epoch
"""
HOLD = """
    UPDATE providers_breaker
    SET state = 'open', epoch = epoch + 1, opened_at = coalesce(opened_at, clock_timestamp()), reason = %(reason)s,
        retry_at = greatest(retry_at, clock_timestamp() + make_interval(secs => %(seconds)s)),
        updated_at = clock_timestamp()
    WHERE provider = %(provider)s RETURNING epoch
"""
CLOSE = """
    UPDATE providers_breaker
    SET state = 'closed', failures = 0, trips = 0, epoch = epoch + 1, opened_at = NULL, retry_at = NULL,
        reason = %(reason)s, updated_at = clock_timestamp()
    WHERE provider = %(provider)s RETURNING epoch
"""
LET_TRY = """
    UPDATE providers_breaker
    SET retry_at = clock_timestamp(), epoch = epoch + 1, reason = %(reason)s, updated_at = clock_timestamp()
    WHERE provider = %(provider)s AND state = 'open' AND retry_at > clock_timestamp() RETURNING epoch
"""
LOCK = "SELECT epoch FROM providers_breaker WHERE provider = %(provider)s FOR UPDATE"
