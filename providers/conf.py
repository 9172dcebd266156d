"""Limits of the calls to each provider, frozen from `settings.PROVIDERS`, units in the names.

A provider that is not in the settings is an error at first use; a misspelt key is one at `manage.py check`.
"""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    connect_timeout_seconds: float = 3.0
    read_timeout_seconds: float = 10.0
    # A read timeout starts again with every byte; this one does not.
    total_deadline_seconds: float = 12.0
    # Calls under way at once, per process: at most, and at least, however often the provider turns us away.
    call_slots: int = 16
    call_slots_min: int = 2
    # A call younger than this may still take effect over there, so "absent" proves nothing yet (I13).
    in_flight_horizon_seconds: float = 20.0
    answer_max_bytes: int = 1_048_576
    # Failures in a row, over all processes, that open the breaker.
    breaker_failures: int = 5
    # How long it stays open at first; doubles with every failed trial, up to the maximum: how late healing is noticed.
    breaker_open_seconds: float = 10.0
    breaker_open_max_seconds: float = 60.0
    # A provider that asks for a longer pause is asked again after this one.
    retry_after_max_seconds: float = 300.0

    @property
    def total_deadline(self) -> timedelta:
        return timedelta(seconds=self.total_deadline_seconds)

    @property
    def in_flight_horizon(self) -> timedelta:
        return timedelta(seconds=self.in_flight_horizon_seconds)


KNOWN_KEYS = tuple(field.name.upper() for field in fields(ProviderSettings))


def for_provider(provider: str) -> ProviderSettings:
    """The limits of one provider; raises KeyError for a name that `settings.PROVIDERS` does not have."""
    given: dict[str, Any] = settings.PROVIDERS[provider]
    return ProviderSettings(**{key.lower(): value for key, value in given.items()})
