"""`manage.py purge_sagas`: deletes sagas that ended long ago, in batches."""

from outbox.purge_command import PurgeCommand
from sagas import lifecycle


class Command(PurgeCommand):
    help = "Deletes completed and compensated sagas past their retention, in batches. Never a live one."
    purge = staticmethod(lifecycle.purge)
    what = "sagas"
