"""The outbox's periodic work. The relay process does the same by itself; beat alone is enough (S21)."""

from datetime import timedelta

from . import heartbeat, operations, relay
from .periodic import tick


@tick("outbox.relay", every=timedelta(milliseconds=500))
def relay_due() -> int:
    return relay.run_once()


@tick("outbox.park", every=timedelta(seconds=5))
def park() -> int:
    return operations.park()


@tick("outbox.bury_spent", every=timedelta(seconds=5))
def bury_spent() -> int:
    return operations.bury_spent()


@tick("outbox.purge", every=timedelta(minutes=10))
def purge() -> None:
    operations.purge()
    operations.purge_inbox()
    heartbeat.forget_silent()
