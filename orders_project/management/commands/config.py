"""`manage.py config`: the effective settings, where each came from, and what is set in vain. Reads only."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from orders_project import environment
from outbox.command_line import DONE, MISUSED, REFUSED, ServiceCommand, add_json


class Command(ServiceCommand):
    help = (
        "Shows every variable that the settings are read from, with the value that holds here and where it came from: "
        "the environment, .env, .local/env, or the default. Secrets and passwords in addresses are masked. Variables "
        "that look like ours, and that nobody reads, are told on standard error: did you mean …?\n\n"
        "Asks no database and runs no system check, so that it works where nothing else does."
    )
    examples = (
        ("config", "all of them"),
        ("config --changed", "only what is not the default"),
        ("config --strict --json", "for a deploy: exit code 1 when a variable is set in vain"),
    )
    exit_codes = {
        DONE: "told",
        REFUSED: "with --strict: a variable that looks like ours is read by nobody",
        MISUSED: "misuse",
    }
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--changed", action="store_true", help="only what is not the default")
        parser.add_argument("--strict", action="store_true", help="exit code 1 when a variable is set in vain")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        shown = [
            one for one in environment.variables() if not (options["changed"] and one.source == environment.DEFAULT)
        ]
        strangers = environment.strangers()
        if options["json"]:
            self.print_json(
                {
                    "variables": [{"name": one.name, "value": one.shown, "source": one.source} for one in shown],
                    "read_by_nobody": [asdict(one) for one in strangers],
                }
            )
        else:
            for one in shown:
                self.stdout.write(f"{one.name:<46}{one.source:<14}{one.shown}".rstrip())
        for stranger in strangers:
            self.stderr.write(stranger.sentence)
        if strangers and options["strict"]:
            raise CommandError(f"{len(strangers)} variables are set in vain.", returncode=REFUSED)
