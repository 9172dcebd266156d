"""`manage.py reconcile`: compares all our books with the providers' now, keeps what differs, asks for repairs."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from audit import models, reconciliation
from audit.comparison import Difference
from outbox import proposals
from outbox.command_line import (
    DONE,
    MISUSED,
    PROPOSED,
    REFUSED,
    Misuse,
    ServiceCommand,
    add_act,
    add_dry_run,
    add_json,
)
from providers.errors import ProviderError


class Command(ServiceCommand):
    help = (
        "Compares all our books with the providers' now: charges, refunds, shipments and cancellations. What differs "
        "is kept as a row, what is proved is repaired by itself, the rest waits for a person, who answers for it with "
        "--resolve."
    )
    examples = (
        ("reconcile --dry-run", "only say what differs; nothing is kept or repaired"),
        ("reconcile", "keep what differs, and ask for repairs"),
        (
            'reconcile --resolve 01a1f9e6-15f5-72b5-ac35-529b0b3a8bc4 --reason "their support confirmed it"',
            "answer for one difference",
        ),
    )
    exit_codes = {
        DONE: "the books agree; with --resolve: done, or done before",
        REFUSED: "they differ; with --resolve: refused",
        MISUSED: "misuse, or a provider could not be asked",
        PROPOSED: "--resolve under the two-person rule: proposed, and waits for a second person",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--at-rest", action="store_true", help="nothing is under way: also compare what is young")
        parser.add_argument("--resolve", type=UUID, metavar="ID", help="answer for one difference instead")
        add_act(parser, required=False)
        add_dry_run(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["resolve"]:
            self._resolve(options)
            return
        try:
            found = reconciliation.reconcile(at_rest=options["at_rest"], dry_run=options["dry_run"])
        except ProviderError as error:
            raise CommandError(f"A provider could not be asked: {error}", returncode=MISUSED) from error
        self._json(found) if options["json"] else self._table(found)
        if found:
            raise CommandError(f"{len(found)} differences.", returncode=REFUSED)

    def _json(self, found: list[Difference]) -> None:
        self.print_json({"differences": [asdict(one) for one in found]})

    def _table(self, found: list[Difference]) -> None:
        for one in found:
            ours, theirs = (side.status if side else "nothing" for side in (one.ours, one.theirs))
            self.stdout.write(f"{one.object:<13}{one.kind:<13}we say {ours}, they say {theirs}: {one.provider_key}")
        if not found:
            self.stdout.write("The books agree.")

    def _resolve(self, options: dict[str, Any]) -> None:
        if not options["reason"]:
            raise Misuse("--resolve needs a --reason.")
        difference = models.Difference.objects.filter(pk=options["resolve"]).first()
        if difference is None:
            raise CommandError(f"There is no difference {options['resolve']}.", returncode=REFUSED)
        self.do(proposals.verb_on("difference", "resolve"), difference, options)
