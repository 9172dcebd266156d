"""`manage.py purge_outbox`: a thin shell over `outbox.operations`, which keeps I14: nothing unfinished is deleted."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from outbox import operations
from outbox.durations import duration


class Command(BaseCommand):
    help = "Deletes done and skipped messages past their retention, in batches. Never an open or dead one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=duration, help="such as 7d; default: the retention of the settings")
        parser.add_argument("--batch-size", type=int, default=operations.PURGE_BATCH_SIZE)
        parser.add_argument("--dry-run", action="store_true", help="only say how many")

    def handle(self, *args: Any, **options: Any) -> None:
        count = operations.purge(
            older_than=options["older_than"], batch_size=options["batch_size"], dry_run=options["dry_run"]
        )
        self.stdout.write(f"{'Would purge' if options['dry_run'] else 'Purged'} {count} messages.")
