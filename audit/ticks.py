"""The audit's periodic work."""

from datetime import timedelta

from outbox.periodic import tick

from . import consumers
from .conf import reconciliation

RECONCILIATION_INTERVAL = timedelta(seconds=reconciliation().interval_seconds)


@tick("audit.reconcile", every=RECONCILIATION_INTERVAL)
def reconcile() -> None:
    consumers.go_on()
