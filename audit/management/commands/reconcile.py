"""`manage.py reconcile`: compares all our books with the providers' now, keeps what differs, asks for repairs."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from audit import operations, reconciliation
from audit.comparison import Difference
from outbox.exceptions import VerbRefused
from providers.errors import ProviderError


class Command(BaseCommand):
    help = "Exit code 0: the books agree. 1: they differ. 2: a provider could not be asked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what differs")
        parser.add_argument("--at-rest", action="store_true", help="nothing is under way: also compare what is young")
        parser.add_argument("--json", action="store_true", help="one JSON object")
        parser.add_argument("--resolve", type=UUID, metavar="ID", help="answer for one difference instead")
        parser.add_argument("--reason", default="", help="why; needed with --resolve")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["resolve"]:
            self._resolve(options["resolve"], options["reason"])
            return
        try:
            found = reconciliation.reconcile(at_rest=options["at_rest"], dry_run=options["dry_run"])
        except ProviderError as error:
            raise CommandError(f"A provider could not be asked: {error}", returncode=2) from error
        self._json(found) if options["json"] else self._table(found)
        if found:
            raise CommandError(f"{len(found)} differences.", returncode=1)

    def _json(self, found: list[Difference]) -> None:
        self.stdout.write(json.dumps({"differences": [asdict(one) for one in found]}, default=str))

    def _table(self, found: list[Difference]) -> None:
        for one in found:
            ours, theirs = (side.status if side else "nothing" for side in (one.ours, one.theirs))
            self.stdout.write(f"{one.object:<13}{one.kind:<13}we say {ours}, they say {theirs}: {one.provider_key}")
        if not found:
            self.stdout.write("The books agree.")

    def _resolve(self, difference_id: UUID, reason: str) -> None:
        try:
            done = operations.resolve(difference_id, who=None, reason=reason)
        except (VerbRefused, ValueError) as refusal:
            raise CommandError(str(refusal), returncode=1) from refusal
        self.stdout.write("Resolved." if done else "Already done: nothing changed.")
