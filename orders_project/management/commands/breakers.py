"""`manage.py breakers …`: the providers' breakers, and opening or closing one by hand, with an operator act.

Here because it needs both `providers` and `outbox`, which know nothing of each other.
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.db import transaction

from outbox.command_line import DONE, MISUSED, Misuse, ServiceCommand, add_act, add_dry_run, add_json, person
from outbox.operations import Person, act
from providers import operations, selectors

OPEN_SECONDS = 600.0


class Command(ServiceCommand):
    help = (
        "Shows the providers' breakers, and opens or closes one by hand. A breaker opens by itself after failures in a "
        "row, and closes by itself after a trial that works: by hand is for what we know and it does not."
    )
    examples = (
        ("breakers list", "closed, open or half open, by provider"),
        ('breakers close --provider shipping --reason "their status page says so"', "let calls start at once"),
        ('breakers open --provider shipping --seconds 3600 --reason "maintenance"', "start none for an hour"),
    )
    exit_codes = {DONE: "told, or done", MISUSED: "misuse, such as an unknown provider"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="list, open or close")
        add_json(actions.add_parser("list", help="the state of every provider's breaker"), "one JSON array")
        opening = actions.add_parser("open", help="start no call for a while; then a trial decides, as always")
        opening.add_argument(
            "--seconds", type=float, default=OPEN_SECONDS, help=f"for how long (default: {OPEN_SECONDS:.0f})"
        )
        for verb in (opening, actions.add_parser("close", help="let calls start at once")):
            verb.add_argument("--provider", required=True, choices=list(settings.PROVIDERS), help="whose breaker")
            add_act(verb)
            add_dry_run(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list(as_json=options["json"])
            return
        verb = "open" if options["action"] == "open" else "close"
        if verb == "open" and not options["seconds"] > 0:
            raise Misuse("--seconds must be more than 0.")
        who = person(options)
        if not options["dry_run"]:
            (self._open if verb == "open" else self._close)(who, options)
        state = f"open for {options['seconds']:.0f} s" if verb == "open" else "closed"
        self.stdout.write(f"{options['provider']}: {'would be ' if options['dry_run'] else ''}{state}.")

    def _list(self, *, as_json: bool) -> None:
        states = selectors.breaker_states()
        if as_json:
            self.print_json([{"provider": provider, "state": state} for provider, state in states.items()])
            return
        for provider, state in states.items():
            self.stdout.write(f"{provider:<20} {state}")

    @transaction.atomic
    def _open(self, who: Person, options: dict[str, Any]) -> None:
        provider, reason, seconds = options["provider"], options["reason"], options["seconds"]
        operations.open_breaker(provider, seconds=seconds, reason=reason)
        act(who=who, verb="open", target=("breaker", provider), reason=reason, seconds=seconds)

    @transaction.atomic
    def _close(self, who: Person, options: dict[str, Any]) -> None:
        operations.close_breaker(options["provider"], reason=options["reason"])
        act(who=who, verb="close", target=("breaker", options["provider"]), reason=options["reason"])
