"""Reads: the state of every configured provider's breaker."""

from django.conf import settings

from providers.models import Breaker, BreakerState


def breaker_states() -> dict[str, str]:
    """State by provider, in one query; a provider without a row has never failed: closed."""
    states = dict(Breaker.objects.values_list("provider", "state"))
    return {provider: states.get(provider, BreakerState.CLOSED.value) for provider in settings.PROVIDERS}
