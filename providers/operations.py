"""What an operator may do to a breaker by hand. The reason stands on the row; the caller records who did it."""

from django.conf import settings

from providers import breaker


def open_breaker(provider: str, *, seconds: float, reason: str) -> None:
    """Starts no call to the provider for `seconds`; then a trial decides, as always. Raises KeyError for an unknown."""
    settings.PROVIDERS[provider]
    breaker.hold(provider, seconds=seconds, reason=reason)


def close_breaker(provider: str, *, reason: str) -> None:
    """Lets calls start at once; a second time changes nothing. Raises KeyError for an unknown provider."""
    settings.PROVIDERS[provider]
    breaker.close(provider, reason=reason)
