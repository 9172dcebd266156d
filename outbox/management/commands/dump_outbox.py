"""`manage.py dump_outbox`: messages as JSON lines, for a file or the next program; thin over `outbox.dump`."""

import sys
from argparse import ArgumentParser
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, cast
from uuid import UUID

from outbox.command_line import DONE, INTERRUPTED, MISUSED, Misuse, ServiceCommand, add_limit
from outbox.dump import FIRST_KEY, Dump, Wanted, as_line
from outbox.durations import moment
from outbox.models import OutboxMessage


class Command(ServiceCommand):
    help = (
        "Writes messages as JSON lines, in the order in which they were written, to standard output or a file. Reads "
        "page by page: any number of messages, in little memory, beside live traffic. Secrets are masked.\n\n"
        "Filters may be given several times. Standard error says at the end how many there were, and from which key to "
        "go on with --after."
    )
    examples = (
        ("dump_outbox --state dead", "the dead letters"),
        ("dump_outbox --type order.created.v1 --since 2h --output orders.jsonl", "two hours of one type, into a file"),
        ("dump_outbox --after 01a1f95a-5af0-75b8-a609-0e58f86b53e2 >> all.jsonl", "go on with one that was broken off"),
    )
    exit_codes = {
        DONE: "done, also when nothing matched",
        MISUSED: "misuse, such as a file that exists",
        INTERRUPTED: "interrupted; what was written is whole lines, and --after goes on",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--state", action="append", default=[], choices=OutboxMessage.State.values, help="only these states"
        )
        parser.add_argument("--destination", action="append", default=[], help="only these destinations")
        parser.add_argument("--type", action="append", default=[], help="only these message types")
        parser.add_argument("--since", type=moment, metavar="WHEN", help="written since: 2h, or 2026-11-20T12:00Z")
        parser.add_argument("--after", type=UUID, metavar="KEY", help="go on after this key, as the last run said")
        parser.add_argument("--output", type=Path, metavar="FILE", help="a new file (default: standard output)")
        parser.add_argument("--unmasked", action="store_true", help="secrets too: mind where the file goes")
        add_limit(parser, None, "at most so many")

    def handle(self, *args: Any, **options: Any) -> None:
        dump = Dump(
            Wanted(
                states=options["state"],
                destinations=options["destination"],
                types=options["type"],
                since=options["since"],
                after=options["after"],
            )
        )
        with self._opened(options["output"]) as out, self.progress("messages", options) as progress:
            try:
                for message in islice(dump.messages(), options["limit"]):
                    out.write(as_line(message, unmasked=options["unmasked"]) + "\n")
                    dump.last_key = message.key
                    progress.add()
            except KeyboardInterrupt:
                progress.erase()
                self._say(progress.done, dump.last_key)
                sys.exit(INTERRUPTED)
        self._say(progress.done, dump.last_key)

    def _opened(self, path: Path | None) -> AbstractContextManager[TextIO]:
        if path is None:
            return nullcontext(cast(TextIO, self.stdout))
        try:
            return path.open("x", encoding="utf-8")
        except OSError as error:
            raise Misuse(f"--output {path}: {error.strerror}.") from error

    def _say(self, count: int, last_key: UUID) -> None:
        goes_on = f"; --after {last_key} goes on from here" if last_key != FIRST_KEY else ""
        self.stderr.write(f"{count:,} messages{goes_on}.")
