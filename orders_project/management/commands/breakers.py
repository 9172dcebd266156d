"""`manage.py breakers …`: the providers' breakers, and opening or closing one by hand, with an operator act.

Here because it needs both `providers` and `outbox`, which know nothing of each other. Exit codes: 0 done; 1 refused.
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from outbox.operations import act
from providers import operations, selectors

OPEN_SECONDS = 600.0


class Command(BaseCommand):
    help = "Shows the providers' breakers, and opens or closes one by hand."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("list", help="the state of every provider's breaker")
        opening = actions.add_parser("open", help="start no call for a while; then a trial decides, as always")
        opening.add_argument("--seconds", type=float, default=OPEN_SECONDS, help=f"{OPEN_SECONDS:.0f} if not given")
        for verb in (opening, actions.add_parser("close", help="let calls start at once")):
            verb.add_argument("--provider", required=True, choices=list(settings.PROVIDERS))
            verb.add_argument("--reason", required=True, help="why; stands on the breaker and in the operator act")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            for provider, state in selectors.breaker_states().items():
                self.stdout.write(f"{provider:<20} {state}")
            return
        if not options["reason"].strip():
            raise CommandError("--reason says why: it must not be blank.")
        if options["action"] == "open":
            self._open(options["provider"], seconds=options["seconds"], reason=options["reason"])
        else:
            self._close(options["provider"], reason=options["reason"])

    @transaction.atomic
    def _open(self, provider: str, *, seconds: float, reason: str) -> None:
        if seconds <= 0:
            raise CommandError("--seconds must be more than 0.")
        operations.open_breaker(provider, seconds=seconds, reason=reason)
        act(who=None, verb="open", target=("breaker", provider), reason=reason, seconds=seconds)
        self.stdout.write(f"{provider}: open for {seconds:.0f} s.")

    @transaction.atomic
    def _close(self, provider: str, *, reason: str) -> None:
        operations.close_breaker(provider, reason=reason)
        act(who=None, verb="close", target=("breaker", provider), reason=reason)
        self.stdout.write(f"{provider}: closed.")
