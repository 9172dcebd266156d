"""`manage.py audit`: judges the promises by the rows, and the providers' books by ours; thin over audit.report.

Exit codes: 0 all that was judged holds; 1 violations; 2 something could not be judged, and what could holds.
"""

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from audit.printing import as_json, as_text
from audit.report import CannotJudge, audit_now
from audit.runs import keep_whole
from outbox.durations import duration


class Command(BaseCommand):
    help = "Judges the promises I1–I14 by the rows. Exit code 0: they hold; 1: violations; 2: not all could be judged."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object")
        parser.add_argument("--at-rest", action="store_true", help="nothing is under way: what is not ended is wrong")
        parser.add_argument("--no-ledgers", action="store_true", help="leave the providers' own books alone")
        parser.add_argument("--since", help="only what was placed or had a message since: 2h, or 2026-11-20T12:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = audit_now(
                at_rest=options["at_rest"], with_ledgers=not options["no_ledgers"], since=_moment(options["since"])
            )
        except CannotJudge as error:
            raise CommandError(str(error), returncode=2) from error
        if options["since"] is None and not options["at_rest"]:
            keep_whole(report)
        self.stdout.write(as_json(report) if options["json"] else as_text(report))
        if not report.holds:
            raise SystemExit(1)
        if report.unjudged:
            raise SystemExit(2)


def _moment(text: str | None) -> datetime | None:
    """A moment, or an age counted from now."""
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is not None:
        return moment.replace(tzinfo=UTC) if is_naive(moment) else moment
    try:
        age: timedelta = duration(text)
    except Exception as error:
        raise CommandError(f"--since {text}: write an age such as 2h, or a time such as 2026-11-20T12:00Z.") from error
    return datetime.now(UTC) - age
