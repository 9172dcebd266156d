"""What every purge command has in common: an age, a batch size, a dry run, and a count at the end."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Protocol

from django.core.management.base import BaseCommand

from .durations import duration
from .operations import PURGE_BATCH_SIZE


class Purge(Protocol):
    """Deletes what ended longer ago than that, in batches; only counts it on a dry run. Returns how many."""

    def __call__(self, *, older_than: Any = None, batch_size: int = PURGE_BATCH_SIZE, dry_run: bool = False) -> int: ...


class PurgeCommand(BaseCommand):
    """A command names its operation and what it deletes."""

    purge: Purge
    what: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=duration, help="such as 7d; default: the retention of the settings")
        parser.add_argument("--batch-size", type=_positive, default=PURGE_BATCH_SIZE)
        parser.add_argument("--dry-run", action="store_true", help="only say how many")

    def handle(self, *args: Any, **options: Any) -> None:
        count = self.purge(
            older_than=options["older_than"], batch_size=options["batch_size"], dry_run=options["dry_run"]
        )
        self.stdout.write(f"{'Would purge' if options['dry_run'] else 'Purged'} {count} {self.what}.")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is no batch size: write a number of rows, 1 or more.")
    return int(text)
