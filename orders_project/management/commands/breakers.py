"""`manage.py breakers …`: the providers' breakers, and opening, trying or closing one by hand, with an operator act."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from orders_project.breakers import OPEN_SECONDS, by_hand
from outbox.command_line import (
    DONE,
    MISUSED,
    REFUSED,
    Misuse,
    ServiceCommand,
    add_act,
    add_dry_run,
    add_json,
    person,
)
from providers import selectors


class Command(ServiceCommand):
    help = (
        "Shows the providers' breakers, and opens, tries or closes one by hand. A breaker opens by itself after "
        "failures in a row, and closes by itself after a trial that works: by hand is for what we know and it does not."
    )
    examples = (
        ("breakers list", "closed, open or half open, by provider"),
        ('breakers close --provider shipping --reason "their status page says so"', "let calls start at once"),
        ('breakers try --provider shipping --reason "they say it works"', "the next call is the trial, and decides"),
        ('breakers open --provider shipping --seconds 3600 --reason "maintenance"', "start none for an hour"),
    )
    exit_codes = {
        DONE: "told, or done",
        REFUSED: "there was nothing to do",
        MISUSED: "misuse, such as an unknown provider",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="list, open, try or close")
        add_json(actions.add_parser("list", help="the state of every provider's breaker"), "one JSON array")
        opening = actions.add_parser("open", help="start no call for a while; then a trial decides, as always")
        opening.add_argument(
            "--seconds", type=float, default=OPEN_SECONDS, help=f"for how long (default: {OPEN_SECONDS:.0f})"
        )
        trying = actions.add_parser("try", help="half-open it: the next call is the trial, and decides")
        for verb in (opening, trying, actions.add_parser("close", help="let calls start at once")):
            verb.add_argument("--provider", required=True, choices=list(settings.PROVIDERS), help="whose breaker")
            add_act(verb)
            add_dry_run(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list(as_json=options["json"])
        else:
            self._do(options["action"], options["provider"], options)

    def _list(self, *, as_json: bool) -> None:
        states = selectors.breaker_states()
        if as_json:
            self.print_json([{"provider": provider, "state": state} for provider, state in states.items()])
            return
        for provider, state in states.items():
            self.stdout.write(f"{provider:<20} {state}")

    def _do(self, verb: str, provider: str, options: dict[str, Any]) -> None:
        seconds, who = options.get("seconds", OPEN_SECONDS), person(options)
        if not seconds > 0:
            raise Misuse("--seconds must be more than 0.")
        told = {"open": f"open for {seconds:.0f} s", "try": "the next call is a trial", "close": "closed"}[verb]
        if options["dry_run"]:
            self.stdout.write(f"{provider}: would be {told}.")
        elif by_hand(verb, provider, who=who, reason=options["reason"], seconds=seconds):
            self.stdout.write(f"{provider}: {told}.")
        else:
            raise CommandError(f"{provider} is not open, or the next call may be a trial anyway.")
