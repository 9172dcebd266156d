"""`manage.py purge_idempotency_keys`: removes expired keys, in batches.

Here because it shares what all purges share with `outbox`, of which `idempotency` knows nothing.
"""

from collections.abc import Callable
from datetime import timedelta

from idempotency import operations
from outbox.purge_command import PurgeCommand


def _purge(*, older_than: timedelta, batch_size: int, dry_run: bool, told: Callable[[int], None]) -> int:
    return operations.purge(older_than=older_than, batch_size=batch_size, dry_run=dry_run, told=told).keys


class Command(PurgeCommand):
    help = (
        "Removes idempotency keys that have expired, in batches with a commit each. A key that has not expired is "
        "never removed: its answer may still be asked for."
    )
    examples = (("purge_idempotency_keys --dry-run", "how many have expired"),)
    purge = staticmethod(_purge)
    what = "idempotency keys"
    since = "expired"

    def retention(self) -> timedelta:
        return timedelta(0)
