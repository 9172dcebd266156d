"""`manage.py audit`: judges the promises by the rows, and the providers' books by ours; thin over audit.report."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from audit.printing import as_json, as_text
from audit.report import CannotJudge, audit_now, count_of_checks
from audit.runs import keep_whole
from outbox.command_line import DONE, MISUSED, REFUSED, ServiceCommand, add_json
from outbox.durations import moment


class Command(ServiceCommand):
    help = (
        "Judges the promises I1–I14 by the rows, and the providers' books by ours. Beside live traffic only what is "
        "settled is judged; --at-rest takes everything that has not ended for wrong. Changes nothing, but that a whole "
        "audit is kept for the metrics."
    )
    examples = (
        ("audit", "everything, beside live traffic"),
        ("audit --since 2h --no-ledgers", "what is new, without asking a provider"),
        ("audit --at-rest --json", "after a drill or a restore, when nothing is under way"),
    )
    exit_codes = {
        DONE: "all that was judged holds",
        REFUSED: "violations",
        MISUSED: "misuse; or something could not be judged, and what could holds",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--at-rest", action="store_true", help="nothing is under way: what is not ended is wrong")
        parser.add_argument("--no-ledgers", action="store_true", help="leave the providers' own books alone")
        parser.add_argument(
            "--since",
            type=moment,
            metavar="WHEN",
            help="only what was placed or had a message since: 2h, or 2026-11-20T12:00Z",
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        at_rest, since = options["at_rest"], options["since"]
        total = count_of_checks(at_rest=at_rest, since=since)
        with self.progress("checks", options, total=total) as progress:
            try:
                report = audit_now(
                    at_rest=at_rest, with_ledgers=not options["no_ledgers"], since=since, told=progress.add
                )
            except CannotJudge as error:
                raise CommandError(str(error), returncode=MISUSED) from error
        if since is None and not at_rest:
            keep_whole(report)
        self.stdout.write(as_json(report) if options["json"] else as_text(report))
        if not report.holds:
            sys.exit(REFUSED)
        if report.unjudged:
            sys.exit(MISUSED)
