"""Reads: the state of every configured provider's breaker."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from providers.models import Breaker, BreakerState


@dataclass(frozen=True, kw_only=True)
class BreakerReading:
    """A breaker as people see it; `wait_seconds` until a call may start, 0 when one may now."""

    provider: str
    state: str = BreakerState.CLOSED.value
    failures: int = 0
    epoch: int = 0
    open_seconds: float = 0.0
    wait_seconds: float = 0.0
    reason: str = ""


def breaker_states() -> dict[str, str]:
    """State by provider, in one query; a provider without a row has never failed: closed."""
    return {one.provider: one.state for one in breakers()}


def breakers() -> list[BreakerReading]:
    """Every configured provider's breaker, in one query; one without a row has never failed: closed."""
    rows = {row.provider: row for row in Breaker.objects.annotate(read_at=Now())}
    return [
        _reading(rows[provider]) if provider in rows else BreakerReading(provider=provider)
        for provider in settings.PROVIDERS
    ]


def _reading(row: Any) -> BreakerReading:
    return BreakerReading(
        provider=row.provider,
        state=row.state,
        failures=row.failures,
        epoch=row.epoch,
        open_seconds=max((row.read_at - row.opened_at).total_seconds(), 0.0) if row.opened_at else 0.0,
        wait_seconds=max((row.retry_at - row.read_at).total_seconds(), 0.0) if row.retry_at else 0.0,
        reason=row.reason,
    )
