"""`manage.py outbox_status`: what waits, by destination; with a bound, a probe. Reads only."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from outbox import selectors
from outbox.command_line import DONE, MISUSED, REFUSED, ServiceCommand, add_json


class Command(ServiceCommand):
    help = (
        "Shows unfinished messages by destination: how many are open, due, running and dead, the age of the oldest "
        "open one, and why the destination is paused, if it is. Changes nothing."
    )
    examples = (
        ("outbox_status", "what waits, and for how long"),
        (
            "outbox_status --fail-if-older-than 300",
            "for probes: exit code 1 when a message waits for over five minutes",
        ),
    )
    exit_codes = {
        DONE: "told",
        REFUSED: "with --fail-if-older-than: an open message is older",
        MISUSED: "misuse",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--fail-if-older-than", type=float, metavar="SECONDS", help="end with exit code 1 when one is older"
        )
        add_json(parser, "one JSON array")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = selectors.status()
        if options["json"]:
            self.print_json([row.as_dict() for row in rows])
        else:
            self._table(rows)
        limit = options["fail_if_older_than"]
        late = [row for row in rows if limit is not None and row.oldest_age_seconds > limit]
        if late:
            names = ", ".join(f"{row.destination} ({row.oldest_age_seconds:.0f} s)" for row in late)
            raise CommandError(f"Open messages older than {limit:.0f} s: {names}", returncode=REFUSED)

    def _table(self, rows: list[selectors.DestinationStatus]) -> None:
        if not rows:
            self.stdout.write("Nothing waits: every message is done.")
            return
        self.stdout.write(f"{'destination':<45}{'open':>8}{'due':>8}{'running':>9}{'dead':>7}{'oldest':>10}  paused")
        for row in rows:
            self.stdout.write(
                f"{row.destination:<45}{row.open:>8}{row.due:>8}{row.running:>9}{row.dead:>7}"
                f"{row.oldest_age_seconds:>8.0f} s  {row.paused or ''}"
            )
