"""`manage.py requeue_outbox`: a thin shell over `outbox.operations.requeue`; a reason is required."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from outbox import operations, selectors
from outbox.models import OutboxMessage


class Command(BaseCommand):
    help = (
        "Makes dead messages due again with all their attempts; with --sent, done and skipped ones too (consumers that "
        "have handled a message ignore it). Names messages by key or message id, or all of a filter."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=UUID, help="keys or message ids")
        parser.add_argument("--destination", help="only this destination")
        parser.add_argument("--type", help="only this message type")
        parser.add_argument("--all", action="store_true", help="every message that matches")
        parser.add_argument("--sent", action="store_true", help="done and skipped ones too")
        parser.add_argument("--reason", required=True, help="why; stands in the operator act")
        parser.add_argument("--dry-run", action="store_true", help="only say how many")
        parser.add_argument("--batch-size", type=int, default=500)

    def handle(self, *args: Any, **options: Any) -> None:
        messages = self._chosen(options)
        if options["dry_run"]:
            self.stdout.write(f"Would requeue {messages.count()} messages.")
            return
        keys = list(messages.values_list("key", flat=True))
        size = options["batch_size"]
        total = 0
        for start in range(0, len(keys), size):
            batch = keys[start : start + size]
            total += operations.requeue(batch, who=None, reason=options["reason"], sent=options["sent"])
        self.stdout.write(f"Requeued {total} messages.")

    def _chosen(self, options: dict[str, Any]) -> QuerySet[OutboxMessage]:
        if not options["ids"] and not (options["all"] or options["destination"] or options["type"]):
            raise CommandError("Say which: ids, --destination, --type, or --all.")
        if options["destination"] and options["destination"] not in selectors.destinations():
            known = ", ".join(selectors.destinations())
            raise CommandError(f"There is no destination {options['destination']!r}; there are {known}.")
        states = ["dead", "done", "skipped"] if options["sent"] else ["dead"]
        messages = OutboxMessage.objects.filter(state__in=states)
        if options["ids"]:
            messages = messages.filter(key__in=options["ids"]) | messages.filter(message_id__in=options["ids"])
        if options["destination"]:
            messages = messages.filter(destination=options["destination"])
        if options["type"]:
            messages = messages.filter(type=options["type"])
        return messages.order_by("key")
