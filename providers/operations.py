"""What an operator may do to a breaker by hand. The reason stands on the row; the caller records who did it.

With `epoch`, the one that the person saw, a verb changes nothing when the breaker has moved since: so a double click
acts once. It must then be called in a transaction.
"""

from django.conf import settings

from providers import breaker


def open_breaker(provider: str, *, seconds: float, reason: str, epoch: int | None = None) -> bool:
    """Starts no call to the provider for `seconds`; then a trial decides, as always. Raises KeyError for an unknown."""
    if not _is_as_seen(provider, epoch):
        return False
    breaker.hold(provider, seconds=seconds, reason=reason)
    return True


def close_breaker(provider: str, *, reason: str, epoch: int | None = None) -> bool:
    """Lets calls start at once. Raises KeyError for an unknown provider."""
    if not _is_as_seen(provider, epoch):
        return False
    breaker.close(provider, reason=reason)
    return True


def try_breaker(provider: str, *, reason: str, epoch: int | None = None) -> bool:
    """Half-opens it: the next call is the trial, and decides. False when it is not open, or may be tried anyway.

    Raises KeyError for an unknown provider.
    """
    return _is_as_seen(provider, epoch) and breaker.let_try(provider, reason=reason)


def _is_as_seen(provider: str, epoch: int | None) -> bool:
    settings.PROVIDERS[provider]
    return epoch is None or breaker.is_at(provider, epoch=epoch)
