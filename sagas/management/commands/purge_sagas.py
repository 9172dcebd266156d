"""`manage.py purge_sagas`: deletes sagas that ended long ago, in batches."""

from outbox.purge_command import PurgeCommand
from sagas import operations


class Command(PurgeCommand):
    help = "Deletes completed and compensated sagas past their retention, in batches. Never a live one."
    purge = staticmethod(operations.purge)
    what = "sagas"
