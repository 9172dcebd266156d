"""`manage.py requeue_outbox`: a thin shell over `outbox.operations.requeue`; a reason is required."""

import sys
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from outbox import operations, selectors
from outbox.command_line import (
    DONE,
    INTERRUPTED,
    MISUSED,
    Misuse,
    ServiceCommand,
    add_act,
    add_dry_run,
    add_json,
    add_limit,
    person,
    positive,
)
from outbox.models import OutboxMessage

BATCH_SIZE = 500


class Command(ServiceCommand):
    help = (
        "Makes dead messages due again with all their attempts; with --sent, done and skipped ones too (consumers that "
        "have handled a message ignore it). Names messages by key or message id, or all of a filter. A saga's message "
        "is left alone: use the saga's own verbs."
    )
    examples = (
        ('requeue_outbox --all --reason "the database is back" --dry-run', "how many dead ones there are"),
        ('requeue_outbox --destination notifications.order_confirmed --reason "mail works again"', "those of one"),
        ('requeue_outbox 01a1f95a-5af0-75b8-a609-0e58f86b53e2 --sent --reason "they lost it"', "one, sent before"),
    )
    exit_codes = {
        DONE: "done, also when nothing matched",
        MISUSED: "misuse",
        INTERRUPTED: "interrupted; the batches so far are requeued",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=UUID, help="keys or message ids")
        parser.add_argument("--destination", help="only this destination")
        parser.add_argument("--type", help="only this message type")
        parser.add_argument("--all", action="store_true", help="every message that matches")
        parser.add_argument("--sent", action="store_true", help="done ones too; a skipped one by its id only")
        add_limit(parser, None, "at most so many, the oldest first")
        parser.add_argument(
            "--batch-size",
            type=positive,
            default=BATCH_SIZE,
            metavar="ROWS",
            help=f"rows in one transaction (default: {BATCH_SIZE})",
        )
        add_act(parser)
        add_dry_run(parser, "only count; nothing changes")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        messages = self._chosen(options)[: options["limit"]]
        if options["dry_run"]:
            self._tell(messages.count(), options)
            return
        who, keys = person(options), list(messages.values_list("key", flat=True))
        size, total = options["batch_size"], 0
        with self.progress("messages requeued", options, total=len(keys)) as progress:
            try:
                for start in range(0, len(keys), size):
                    batch = keys[start : start + size]
                    total += operations.requeue(batch, who=who, reason=options["reason"], sent=options["sent"])
                    progress.add(len(batch))
            except KeyboardInterrupt:
                progress.erase()
                self._tell(total, options)
                sys.exit(INTERRUPTED)
        self._tell(total, options)

    def _tell(self, count: int, options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json({"would_requeue" if options["dry_run"] else "requeued": count})
        else:
            self.stdout.write(f"{'Would requeue' if options['dry_run'] else 'Requeued'} {count:,} messages.")

    def _chosen(self, options: dict[str, Any]) -> QuerySet[OutboxMessage]:
        if not options["ids"] and not (options["all"] or options["destination"] or options["type"]):
            raise Misuse("Say which: ids, --destination, --type, or --all.")
        if options["destination"] and options["destination"] not in selectors.destinations():
            known = ", ".join(selectors.destinations())
            raise Misuse(f"There is no destination {options['destination']!r}; there are {known}.")
        messages = OutboxMessage.objects.filter(state__in=_states(options), order_free=False)
        if options["ids"]:
            messages = messages.filter(key__in=options["ids"]) | messages.filter(message_id__in=options["ids"])
        wanted = {name: options[name] for name in ("destination", "type") if options[name]}
        return messages.filter(**wanted).order_by("key")


def _states(options: dict[str, Any]) -> list[str]:
    """What somebody decided must not go out, or went out as an edited copy instead, no filter takes."""
    if not options["sent"]:
        return ["dead"]
    return ["dead", "done", "skipped"] if options["ids"] else ["dead", "done"]
