"""A breaker by hand, by whoever asks: the command line or the live page. Here because it needs both `providers` and
`outbox`, which know nothing of each other.

Guarantee: the change and its operator act are one transaction; with the epoch that a person saw, a second click changes
nothing and leaves none.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from outbox.acts import Person, act
from providers import operations

OPEN_SECONDS = 600.0
VERBS: Mapping[str, Any] = {
    "open": operations.open_breaker,
    "try": operations.try_breaker,
    "close": operations.close_breaker,
}


@transaction.atomic
def by_hand(
    verb: str, provider: str, *, who: Person, reason: str, epoch: int | None = None, seconds: float = OPEN_SECONDS
) -> bool:
    """Does it; False when there was nothing to do, or the breaker has moved since `epoch`.

    Raises KeyError for an unknown provider, ValueError without a reason.
    """
    detail = {"seconds": seconds} if verb == "open" else {}
    if not VERBS[verb](provider, reason=reason, epoch=epoch, **detail):
        return False
    act(who=who, verb=verb, target=("breaker", provider), reason=reason, **detail)
    return True
