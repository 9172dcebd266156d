"""System checks: the relations between the providers' settings that the engine relies on."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from providers.conf import KNOWN_KEYS, ProviderSettings, for_provider

CLAIM_MARGIN_SECONDS = 5


# Under the project's tag too: what web processes and workers ask before they start.
@register("providers", "orders_project")
def check_providers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return [message for provider in settings.PROVIDERS for message in _check(provider)]


def _check(provider: str) -> Iterator[CheckMessage]:
    unknown = [key for key in settings.PROVIDERS[provider] if key not in KNOWN_KEYS]
    if unknown:
        yield from (_unknown_key(provider, key) for key in unknown)
        return
    yield from _relations(provider, for_provider(provider))


def _unknown_key(provider: str, key: str) -> Error:
    close = get_close_matches(key, KNOWN_KEYS, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(KNOWN_KEYS)}."
    return Error(f"PROVIDERS[{provider!r}] has an unknown key {key}.", hint=hint, id="providers.E001")


def _relations(provider: str, limits: ProviderSettings) -> Iterator[CheckMessage]:
    name = f"PROVIDERS[{provider!r}]"
    if not 0 < limits.connect_timeout_seconds <= limits.read_timeout_seconds <= limits.total_deadline_seconds:
        yield Error(f"{name}: 0 < connect timeout <= read timeout <= total deadline must hold.", id="providers.E002")
    if limits.in_flight_horizon_seconds <= limits.total_deadline_seconds:
        yield Error(f"{name}: the in-flight horizon must be longer than the total deadline.", id="providers.E003")
    if limits.call_slots < 1 or limits.answer_max_bytes < 1 or limits.breaker_failures < 1:
        yield Error(f"{name}: call slots, answer size and breaker failures must be at least 1.", id="providers.E004")
    if not 0 < limits.breaker_open_seconds <= limits.breaker_open_max_seconds:
        yield Error(f"{name}: 0 < breaker open seconds <= its maximum must hold.", id="providers.E005")
    if not 1 <= limits.call_slots_min <= limits.call_slots:
        yield Error(f"{name}: 1 <= call slots' minimum <= call slots must hold.", id="providers.E007")
    claim_seconds = settings.OUTBOX.get("REMOTE_CLAIM_SECONDS", 30.0)
    # I6: a claim that ended under a running call would let a second runner start the same step.
    if claim_seconds <= limits.total_deadline_seconds + CLAIM_MARGIN_SECONDS:
        yield Error(
            f"{name}: OUTBOX['REMOTE_CLAIM_SECONDS'] must exceed the total deadline by more than "
            f"{CLAIM_MARGIN_SECONDS} s.",
            id="providers.E006",
        )
