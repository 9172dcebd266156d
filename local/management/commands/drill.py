"""`manage.py drill`: the same as `make drill` and `python -m local.drill`."""

import sys
from argparse import ArgumentParser
from typing import Any

from local.drill.__main__ import run
from local.drill.options import ABOUT, add_arguments, chosen
from outbox.command_line import DONE, INTERRUPTED, MISUSED, REFUSED, Misuse, ServiceCommand


class Command(ServiceCommand):
    help = ABOUT
    examples = (
        ("drill", "2,000 orders under the schedule of seed 1"),
        ("drill --seed 7 --orders 500 --plan", "what another one would do, and when"),
    )
    exit_codes = {
        DONE: "every promise held, and every counter moved",
        REFUSED: "a promise was broken, or the drill proved nothing",
        MISUSED: "misuse, or it could not run",
        INTERRUPTED: "interrupted; everything that it started has ended",
    }
    # It starts its own database: the one that these settings name need not be there.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wanted = chosen(options)
        except ValueError as error:
            raise Misuse(str(error)) from None
        sys.exit(run(wanted))
