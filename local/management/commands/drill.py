"""`manage.py drill`: the same as `make drill` and `python -m local.drill`."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from local.drill.__main__ import run
from local.drill.options import ABOUT, add_arguments, chosen


class Command(BaseCommand):
    help = ABOUT
    # It starts its own database: the one that these settings name need not be there.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wanted = chosen(options)
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from None
        sys.exit(run(wanted))
