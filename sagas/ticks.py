"""The saga engine's periodic work."""

from datetime import timedelta

from outbox.periodic import tick

from . import lifecycle, recovery
from .conf import conf

SWEEP = timedelta(seconds=conf().sweep_interval_seconds)


@tick("sagas.sweep", every=SWEEP)
def sweep() -> int:
    return recovery.sweep()


@tick("sagas.attend_overdue", every=SWEEP)
def attend_overdue() -> int:
    return recovery.attend_overdue()


@tick("sagas.purge", every=timedelta(minutes=10))
def purge() -> int:
    return lifecycle.purge()
