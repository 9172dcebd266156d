"""`manage.py purge_outbox`: a thin shell over `outbox.operations`, which keeps I14: nothing unfinished is deleted."""

from datetime import timedelta

from outbox import operations
from outbox.conf import conf
from outbox.purge_command import PurgeCommand


class Command(PurgeCommand):
    help = (
        "Deletes done and skipped messages past their retention, in batches with a commit each. Never an open or dead "
        "one. Runs beside the service, which purges by itself every ten seconds; rests between two batches."
    )
    examples = (
        ("purge_outbox --dry-run", "how many have passed the retention of the settings"),
        ("purge_outbox --older-than 12h", "free space now"),
    )
    purge = staticmethod(operations.purge)
    what = "messages"
    since = "ended"
    needed_for = "an hour or more, for what has just ended is audited; below the retention a whole audit misses them"

    def retention(self) -> timedelta:
        return timedelta(days=conf().retention_days)
