"""The workers and the clock of a test: answers rings, one after the other, until nothing is due."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models.functions import Now

from outbox import consumer, routing
from outbox.models import Destination, OutboxMessage

TURNS_MAX = 200
# At rest is what was at rest this often in a row.
IDLE_TURNS = 3


def drive(*, turns: int = TURNS_MAX, waits: bool = True) -> int:
    """Delivers what is due, everywhere inside; with `waits`, time passes whenever nothing is due. Returns the turns.

    Scheduled and parked messages wait with the others. Fails when it does not come to rest.
    """
    idle = 0
    for turn in range(turns):
        if deliver_due() or (waits and time_passes()):
            idle = 0
        elif idle == IDLE_TURNS:
            return turn - IDLE_TURNS
        else:
            # Another thread of the test may hold a row, or a call slot, for a moment.
            idle += 1
            time.sleep(0.01)
    raise AssertionError(f"still busy after {turns} turns: {list(unfinished())}")


def deliver_due() -> int:
    """One turn: every destination inside that has due messages delivers once. Returns how many messages it took."""
    due = OutboxMessage.objects.filter(state="open", due_at__lte=Now())
    names = sorted(set(due.values_list("destination", flat=True)))
    return sum(consumer.deliver(name) for name in names if routing.is_inside(name))


def deliver(*names: str) -> list[int]:
    """These destinations, in this order; how many messages each took."""
    return [consumer.deliver(name) for name in names]


def time_passes(until: datetime | None = None, **which: Any) -> int:
    """Every wait ends: backing off, running claims, pauses. Returns how many there were."""
    unpaused = Destination.objects.exclude(paused_until=None).update(paused_until=None)
    waiting = OutboxMessage.objects.filter(state="open", due_at__gt=Now(), **which)
    inside = [destination.name for destination in routing.all_inside()]
    return unpaused + waiting.filter(destination__in=inside).update(due_at=until or Now())


def unfinished() -> Iterator[tuple[str, str, int, str]]:
    yield from OutboxMessage.objects.filter(state__in=["open", "dead"]).values_list(
        "destination", "state", "attempts", "last_error"
    )
