"""`manage.py seed_messages`: valid events of a type, marked as seeded; thin over `outbox.seeds`."""

import sys
from argparse import ArgumentParser
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import CommandError

from outbox import registry, routing, seeds
from outbox.command_line import (
    DONE,
    INTERRUPTED,
    MISUSED,
    REFUSED,
    Misuse,
    ServiceCommand,
    add_dry_run,
    add_json,
    positive,
)


class Command(ServiceCommand):
    help = (
        "Writes valid events of one type into the outbox, to every destination that takes it, to see and measure what "
        "becomes of them. Each is about an aggregate of its own that does not exist, and carries `seeded` in its "
        "headers. They are handled like any other: one that starts a fulfilment finds no order, and its message ends "
        "dead.\n\n"
        "Refused outside development (DEBUG or LOCAL_TOOLS), unless --even-in-production says that you mean it."
    )
    examples = (
        ("seed_messages order.confirmed.v1 --dry-run", "who would get them, and what one says"),
        ("seed_messages order.confirmed.v1 --count 100000", "a backlog to watch"),
    )
    exit_codes = {
        DONE: "done",
        REFUSED: "refused: this is no development machine, or nobody takes the type",
        MISUSED: "misuse, such as a type that this code does not know",
        INTERRUPTED: "interrupted; the batches so far are written",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("type", help="the wire name, such as order.created.v1")
        parser.add_argument("--count", type=positive, default=1, metavar="N", help="how many events (default: 1)")
        parser.add_argument(
            "--even-in-production", action="store_true", help="write them into a service that others use, too"
        )
        add_dry_run(parser, "only say who would get them, and show one")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        event = _known(options["type"])
        takers = routing.subscribers(event.type)
        if not takers:
            raise CommandError(f"No destination takes {event.type}: nothing to write.", returncode=REFUSED)
        if options["dry_run"]:
            payload = seeds.example(event, uuid4()).payload()
            self._tell("would_seed", options["count"], takers, options, payload=payload)
            return
        if not (settings.DEBUG or settings.LOCAL_TOOLS or options["even_in_production"]):
            refusal = "This is no development machine: --even-in-production, if you mean it."
            raise CommandError(refusal, returncode=REFUSED)
        with self.progress("events", options, total=options["count"]) as progress:
            try:
                for size in seeds.seed(event, options["count"]):
                    progress.add(size)
            except KeyboardInterrupt:
                progress.erase()
                self._tell("seeded", progress.done, takers, options)
                sys.exit(INTERRUPTED)
        self._tell("seeded", progress.done, takers, options)

    def _tell(self, did: str, count: int, takers: list[str], options: dict[str, Any], **more: Any) -> None:
        if options["json"]:
            self.print_json({did: count, "type": options["type"], "destinations": takers, **more})
            return
        self.stdout.write(f"{did.replace('_', ' ').capitalize()} {count:,} {options['type']} to {', '.join(takers)}.")
        if more:
            self.print_json(more["payload"])


def _known(name: str) -> Any:
    known = registry.known_types()
    if name not in known:
        raise Misuse(f"This code knows no event type {name!r}; there are {', '.join(known)}.")
    return known[name]
