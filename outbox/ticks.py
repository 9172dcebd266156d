"""The outbox's periodic work. The relay process does the same by itself; beat alone is enough (S21)."""

from datetime import timedelta

from . import dead_letters, heartbeat, operations, relay, requeue_orders
from .periodic import tick

# A tick takes seconds, so that it holds up no sweep and ends within a worker's time limit; the next one goes on. Every
# ten seconds they are 5,000 rows a second: a purge that is slower than what arrives never ends.
PURGE_BATCHES = 50


@tick("outbox.relay", every=timedelta(milliseconds=500))
def relay_due() -> int:
    return relay.run_once()


@tick("outbox.park", every=timedelta(seconds=5))
def park() -> int:
    return operations.park()


@tick("outbox.bury_spent", every=timedelta(seconds=5))
def bury_spent() -> int:
    return operations.bury_spent()


@tick("outbox.mark_dead", every=timedelta(seconds=10))
def mark_dead() -> int:
    """What an older version of this code buried beside ours."""
    return dead_letters.mark_unmarked()


@tick("outbox.requeue", every=timedelta(seconds=2))
def requeue() -> int:
    return requeue_orders.work()


@tick("outbox.purge", every=timedelta(seconds=10))
def purge() -> None:
    operations.purge(batches=PURGE_BATCHES)
    operations.purge_inbox(batches=PURGE_BATCHES)
    heartbeat.forget_silent()
