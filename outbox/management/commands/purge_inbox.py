"""`manage.py purge_inbox`: a thin shell over `outbox.operations`, which keeps I14."""

from outbox import operations
from outbox.purge_command import PurgeCommand


class Command(PurgeCommand):
    help = "Deletes inbox rows past their retention, in batches."
    purge = staticmethod(operations.purge_inbox)
    what = "inbox rows"
