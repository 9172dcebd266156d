"""`manage.py purge_inbox`: a thin shell over `outbox.operations`, which keeps I14."""

from datetime import timedelta

from outbox import operations
from outbox.conf import conf
from outbox.purge_command import PurgeCommand


class Command(PurgeCommand):
    help = (
        "Deletes inbox rows past their retention, in batches with a commit each. A row is what keeps its consumer from "
        "handling a message twice: keep them longer than a message may come again, a requeue of a sent one included."
    )
    examples = (("purge_inbox --dry-run", "how many have passed the retention of the settings"),)
    purge = staticmethod(operations.purge_inbox)
    what = "inbox rows"
    since = "were received"
    needed_for = "a day more than OUTBOX_RETENTION_DAYS, while a message may come again and its consumer must know it"

    def retention(self) -> timedelta:
        return timedelta(days=conf().inbox_retention_days)

    def least(self) -> timedelta:
        """As the settings' own check holds it (orders_project.E005): I5."""
        return timedelta(days=conf().retention_days + 1)
