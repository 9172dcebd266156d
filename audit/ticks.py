"""The audit's periodic work."""

from datetime import timedelta

from outbox.periodic import tick

from . import consumers, runs
from .conf import conf, reconciliation

RECONCILIATION_INTERVAL = timedelta(seconds=reconciliation().interval_seconds)
# More often than the audit's interval: a run that ended for lack of time goes on soon.
AUDIT_TICK = timedelta(seconds=min(30.0, conf().interval_seconds))


@tick("audit.reconcile", every=RECONCILIATION_INTERVAL)
def reconcile() -> None:
    consumers.go_on()


@tick("audit.run", every=AUDIT_TICK)
def audit() -> None:
    runs.run_if_due()
