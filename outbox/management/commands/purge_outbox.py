"""`manage.py purge_outbox`: a thin shell over `outbox.operations`, which keeps I14: nothing unfinished is deleted."""

from outbox import operations
from outbox.purge_command import PurgeCommand


class Command(PurgeCommand):
    help = "Deletes done and skipped messages past their retention, in batches. Never an open or dead one."
    purge = staticmethod(operations.purge)
    what = "messages"
