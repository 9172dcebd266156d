"""Claim what is due: who does the work claims it, at the moment it is free, so batches form by themselves.

Guarantee: of one aggregate and destination only the first unfinished message is claimed (I12); a message is claimed by
one at a time (I6), and its attempt is counted before the work. Not guaranteed: that a claim is still held when the
work is done: finish() tells.
"""

from collections.abc import Sequence

from .conf import conf
from .envelope import Message
from .models import OutboxMessage
from .routing import Inside


def claim(destination: Inside, limit: int) -> list[Message]:
    """Due messages of one destination inside, of the types this process knows (F11), in insertion order."""
    return OutboxMessage.objects.all().claim(
        destination.name,
        types=sorted(destination.types),
        limit=limit,
        claim_time=destination.claim_time,
        max_attempts=conf().max_attempts,
    )


def claim_spent(destinations: Sequence[str]) -> list[Message]:
    """Messages whose last attempt ended without a word, claimed to be buried: their process died each time (F9)."""
    return OutboxMessage.objects.all().claim_spent(destinations, max_attempts=conf().max_attempts)
