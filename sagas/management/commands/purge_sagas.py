"""`manage.py purge_sagas`: deletes sagas that ended long ago, in batches."""

from datetime import timedelta

from outbox.purge_command import PurgeCommand
from sagas import lifecycle
from sagas.conf import conf


class Command(PurgeCommand):
    help = (
        "Deletes completed and compensated sagas past their retention, with their steps, in batches with a commit "
        "each. Never a live one."
    )
    examples = (("purge_sagas --dry-run", "how many have passed the retention of the settings"),)
    purge = staticmethod(lifecycle.purge)
    what = "sagas"
    since = "ended"
    needed_for = "an hour or more, for what has just ended is audited; below the retention a whole audit misses them"

    def retention(self) -> timedelta:
        return timedelta(days=conf().retention_days)
