"""`manage.py purge_idempotency_keys`: removes expired keys, in batches.

Here because it shares what all purges share with `outbox`, of which `idempotency` knows nothing.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from idempotency import operations
from idempotency.operations import DEFAULT_BATCH_SIZE, nobody_asks
from outbox.purge_command import PurgeCommand


def _purge(
    *,
    older_than: Any = timedelta(0),
    batch_size: int = DEFAULT_BATCH_SIZE,
    dry_run: bool = False,
    told: Callable[[int], None] = nobody_asks,
) -> int:
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
    needed_for = "a second or more; without it all that have expired"

    def retention(self) -> timedelta:
        return timedelta(0)

    def least(self) -> timedelta:
        return timedelta(seconds=1)
