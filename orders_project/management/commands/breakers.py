"""`manage.py breakers …`: the providers' breakers, and opening, trying or closing one by hand, with an operator act.

Exit codes: 0 done; 1 refused.
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from orders_project.breakers import OPEN_SECONDS, by_hand
from providers import selectors


class Command(BaseCommand):
    help = "Shows the providers' breakers, and opens, tries or closes one by hand."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("list", help="the state of every provider's breaker")
        opening = actions.add_parser("open", help="start no call for a while; then a trial decides, as always")
        opening.add_argument("--seconds", type=float, default=OPEN_SECONDS, help=f"{OPEN_SECONDS:.0f} if not given")
        trying = actions.add_parser("try", help="half-open it: the next call is the trial, and decides")
        for verb in (opening, trying, actions.add_parser("close", help="let calls start at once")):
            verb.add_argument("--provider", required=True, choices=list(settings.PROVIDERS))
            verb.add_argument("--reason", required=True, help="why; stands on the breaker and in the operator act")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            for provider, state in selectors.breaker_states().items():
                self.stdout.write(f"{provider:<20} {state}")
            return
        if not options["reason"].strip():
            raise CommandError("--reason says why: it must not be blank.")
        self._do(options["action"], options["provider"], options)

    def _do(self, verb: str, provider: str, options: Any) -> None:
        seconds = options.get("seconds", OPEN_SECONDS)
        if seconds <= 0:
            raise CommandError("--seconds must be more than 0.")
        if not by_hand(verb, provider, who=None, reason=options["reason"], seconds=seconds):
            raise CommandError(f"{provider} is not open, or the next call may be a trial anyway.")
        told = {"open": f"open for {seconds:.0f} s", "try": "the next call is a trial", "close": "closed"}
        self.stdout.write(f"{provider}: {told[verb]}.")
