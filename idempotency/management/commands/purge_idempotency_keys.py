"""`manage.py purge_idempotency_keys`: removes expired keys, in batches."""

import re
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from idempotency.operations import DEFAULT_BATCH_SIZE, purge

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def age(text: str) -> timedelta:
    """An age such as "90s", "15m", "12h" or "7d"."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no age: write a number and s, m, h or d, such as 7d.")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


class Command(BaseCommand):
    help = "Removes idempotency keys that have expired. A key that has not expired is never removed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=age, default=timedelta(0), help="time since the key expired: 7d, 12h")
        parser.add_argument("--batch-size", type=int, default=DEFAULT_BATCH_SIZE, metavar="ROWS")
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            purged = purge(
                older_than=options["older_than"], batch_size=options["batch_size"], dry_run=options["dry_run"]
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        verb = "would be removed" if purged.is_dry_run else "removed"
        self.stdout.write(f"{purged.keys} expired idempotency keys {verb}.")
