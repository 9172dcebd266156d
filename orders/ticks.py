"""Periodic upkeep of what intake leaves behind; here, because idempotency and outbox do not know each other."""

from datetime import timedelta

from idempotency import operations as idempotency
from outbox.periodic import tick

PURGE_INTERVAL = timedelta(minutes=10)


@tick("idempotency.purge", every=PURGE_INTERVAL)
def purge_idempotency_keys() -> None:
    """Removes keys whose lifetime is over; another caller may use them again anyway (I14)."""
    idempotency.purge()
