"""What every purge command has in common: an age, a batch size, a dry run, progress, and what it deleted."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Protocol

from .command_line import DONE, INTERRUPTED, MISUSED, Misuse, ServiceCommand, add_dry_run, add_json, positive
from .durations import as_text, duration
from .operations import PURGE_BATCH_SIZE


class Purge(Protocol):
    """Deletes what ended longer ago than that, in batches; only counts it on a dry run. Returns how many.

    `told` is called with the size of each batch, once it is committed.
    """

    def __call__(
        self,
        *,
        older_than: Any = None,
        batch_size: int = PURGE_BATCH_SIZE,
        dry_run: bool = False,
        told: Callable[[int], None] = ...,
    ) -> int: ...


class PurgeCommand(ServiceCommand):
    """A command names its operation, what it deletes ("messages"), since when they count, and the default age.

    An age below `least` is refused, whatever is meant by it: what is that young is still needed, and `needed_for` says
    what for.
    """

    purge: Purge
    what: str
    since: str
    needed_for: str
    exit_codes: ClassVar[Mapping[int, str]] = {
        DONE: "done, also when there was nothing to purge",
        MISUSED: "misuse",
        INTERRUPTED: "interrupted; the batches so far are deleted",
    }

    def retention(self) -> timedelta:
        """The age when none is given."""
        raise NotImplementedError

    def least(self) -> timedelta:
        """The smallest age that may be asked for."""
        return timedelta(hours=1)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=duration,
            metavar="AGE",
            help=f"such as 30d, 12h (default: the retention of the settings); {self.needed_for}",
        )
        parser.add_argument(
            "--batch-size",
            type=positive,
            default=PURGE_BATCH_SIZE,
            metavar="ROWS",
            help=f"rows in one transaction (default: {PURGE_BATCH_SIZE:,})",
        )
        add_dry_run(parser, "only count; nothing is deleted")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        age = self._age(options["older_than"])
        with self.progress(f"{self.what} purged", options) as progress:
            try:
                count = self.purge(
                    older_than=age, batch_size=options["batch_size"], dry_run=options["dry_run"], told=progress.add
                )
            except KeyboardInterrupt:
                progress.erase()
                self._tell(progress.done, age, options)
                sys.exit(INTERRUPTED)
        self._tell(count, age, options)

    def _age(self, asked_for: timedelta | None) -> timedelta:
        if asked_for is None:
            return self.retention()
        if asked_for < self.least():
            raise Misuse(f"--older-than {as_text(asked_for)}: at least {as_text(self.least())}, {self.needed_for}.")
        return asked_for

    def _tell(self, count: int, age: timedelta, options: Mapping[str, Any]) -> None:
        if options["json"]:
            key = "would_purge" if options["dry_run"] else "purged"
            self.print_json({"what": self.what, key: count, "older_than_seconds": age.total_seconds()})
            return
        did = "Would purge" if options["dry_run"] else "Purged"
        self.stdout.write(f"{did} {count:,} {self.what} that {self.since} more than {as_text(age)} ago.")
