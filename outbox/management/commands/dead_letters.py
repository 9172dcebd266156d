"""`manage.py dead_letters list|show|requeue`: what the admin's pages of dead letters show and do, from a shell."""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from outbox import dead_letters, dead_letters_text, operations, periodic, requeue_orders, selectors
from outbox.choice import Choice
from outbox.command_line import (
    DONE,
    MISUSED,
    REFUSED,
    Misuse,
    ServiceCommand,
    add_act,
    add_dry_run,
    add_json,
    person,
    positive,
)
from outbox.exceptions import VerbRefused
from outbox.models import OutboxMessage, RequeueOrder

LOOK_EVERY_SECONDS = 0.5


class Command(ServiceCommand):
    help = (
        "Shows what messages are dead of, and requeues them. A message is dead when it has used up its attempts, or "
        "can never succeed. It is kept for good, and blocks only its own aggregate (an order's later messages) at its "
        "own destination. Messages that died of the same error, but for ids, numbers, quoted values, addresses and "
        "times, are a group; its name is 12 characters.\n\n"
        "Mend the cause first. What a consumer has handled before it ignores: one requeue too many does no harm. A "
        "saga's messages are left alone: `manage.py sagas retry` makes new ones."
    )
    examples = (
        ("dead_letters list", "the groups, the largest first"),
        ("dead_letters show 1f0c9a7b3d52", "one group, and what its requeue would run"),
        (
            'dead_letters requeue --group 1f0c9a7b3d52 --rate 20 --reason "mail works again"',
            "20 a second, from now on",
        ),
        ('dead_letters requeue 01a1f95a-5af0-75b8-a609-0e58f86b53e2 --reason "mended"', "one message, at once"),
    )
    exit_codes = {
        DONE: "told, done, or ordered",
        REFUSED: "not found, refused, nothing to do, or cancelled while it was watched",
        MISUSED: "misuse",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="list, show or requeue")
        listing = actions.add_parser("list", help="the groups of dead messages, the largest first")
        _add_filters(listing)
        showing = actions.add_parser("show", help="one group, message or requeue order")
        showing.add_argument("id", help="a group's name, or the id of a message or a requeue order")
        requeue = actions.add_parser("requeue", help="makes dead messages due again")
        requeue.add_argument("ids", nargs="*", type=UUID, help="keys or message ids: these are requeued at once")
        requeue.add_argument("--group", default="", help="only of this group")
        _add_filters(requeue)
        requeue.add_argument("--all", action="store_true", help="every dead message")
        rate = requeue_orders.RATE_DEFAULT
        requeue.add_argument("--rate", type=positive, default=rate, help=f"messages a second (default: {rate})")
        add_act(requeue, required=False)
        add_dry_run(requeue, "only say what it would run, by destination")
        watching = requeue.add_mutually_exclusive_group()
        watching.add_argument("--wait", action="store_true", help="watch it to its end; the default at a terminal")
        watching.add_argument("--no-wait", action="store_true", help="only order it: it goes on in the background")
        for one in (listing, showing, requeue):
            add_json(one, "one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        {"list": self._list, "show": self._show, "requeue": self._requeue}[options["action"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        found = dead_letters.groups(_choice(options))
        if options["json"]:
            self.print_json([group.as_dict() for group in found.shown])
        else:
            self.stdout.write(dead_letters_text.groups(found))

    def _show(self, options: dict[str, Any]) -> None:
        name = options["id"]
        if (identity := _uuid(name)) is None:
            self._show_group(name, options)
        elif order := RequeueOrder.objects.filter(pk=identity).first():
            self._tell(order, options)
        else:
            self._show_messages(identity, options)

    def _show_group(self, name: str, options: dict[str, Any]) -> None:
        choice = Choice(error_fingerprint=name)
        group = next(iter(dead_letters.groups(choice).shown), None)
        if group is None:
            raise CommandError(f"No message is dead of {name!r}: `dead_letters list` names the groups.")
        effects = dead_letters.preview(choice)
        if options["json"]:
            self.print_json({**group.as_dict(), "effects": [effect.as_dict() for effect in effects]})
        else:
            self.stdout.write(f"{dead_letters_text.group(group)}\n{dead_letters_text.effects(effects)}")

    def _show_messages(self, identity: UUID, options: dict[str, Any]) -> None:
        rows = _messages([identity])
        if not rows:
            raise CommandError(f"There is no message and no requeue order {identity}.")
        told = [dead_letters_text.told(row) for row in rows]
        if options["json"]:
            self.print_json(told)
        else:
            self.stdout.write("\n\n".join(dead_letters_text.message(one) for one in told))

    def _requeue(self, options: dict[str, Any]) -> None:
        choice = _choice(options)
        _must_say_which(choice, options)
        if not options["dry_run"] and not (options["reason"] or "").strip():
            raise Misuse("--reason says why: it is required.")
        if options["ids"]:
            self._requeue_at_once(options)
        elif options["dry_run"]:
            self._tell_effects(dead_letters.preview(choice), options)
        else:
            self._order(choice, options)

    def _requeue_at_once(self, options: dict[str, Any]) -> None:
        rows = [row for row in _messages(options["ids"]) if row.state == OutboxMessage.State.DEAD]
        keys = [row.key for row in rows]
        if options["dry_run"]:
            self._tell_effects(dead_letters.preview_of(keys), options)
            return
        count = operations.requeue(keys, who=person(options), reason=options["reason"])
        if not count:
            raise CommandError("None of these is dead, or each belongs to a saga: nothing was requeued.")
        if options["json"]:
            self.print_json({"requeued": count})
        else:
            self.stdout.write(f"Requeued {count}.")

    def _order(self, choice: Choice, options: dict[str, Any]) -> None:
        try:
            order = requeue_orders.place(
                choice, rate_per_second=options["rate"], who=person(options), reason=options["reason"]
            )
        except VerbRefused as refusal:
            raise CommandError(f"Nothing was ordered: {refusal}") from refusal
        is_watched = options["wait"] or (self.stdout.isatty() and not options["no_wait"])
        if is_watched:
            order = self._watch(order)
        self._tell(order, options)
        if is_watched and order.status == RequeueOrder.Status.CANCELLED:
            raise CommandError("It was cancelled.")

    def _watch(self, order: RequeueOrder) -> RequeueOrder:
        """Until it has ended, or the person goes away. It ticks too, for where no beat and no relay runs."""
        try:
            while order.status in {RequeueOrder.Status.OPEN, RequeueOrder.Status.PAUSED}:
                periodic.run("outbox.requeue")
                order.refresh_from_db()
                self.stderr.write(f"\r{dead_letters_text.bar(order)}", ending="")
                time.sleep(LOOK_EVERY_SECONDS)
        except KeyboardInterrupt:
            self.stderr.write("\nNot watched any more: it goes on in the background.", ending="")
        self.stderr.write("")
        return order

    def _tell(self, order: RequeueOrder, options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json(dead_letters_text.order_told(order))
        else:
            self.stdout.write(dead_letters_text.order(order))

    def _tell_effects(self, effects: Sequence[dead_letters.Effect], options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json([effect.as_dict() for effect in effects])
        else:
            self.stdout.write(dead_letters_text.effects(effects))


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--destination", default="", help="only for this destination")
    parser.add_argument("--type", default="", help="only of this message type")


def _choice(options: dict[str, Any]) -> Choice:
    if options["destination"] and options["destination"] not in selectors.destinations():
        known = ", ".join(selectors.destinations())
        raise Misuse(f"There is no destination {options['destination']!r}; there are {known}.")
    return Choice(
        error_fingerprint=options.get("group", ""), destination=options["destination"], type=options["type"]
    )  # fmt: skip


def _must_say_which(choice: Choice, options: dict[str, Any]) -> None:
    named, all_of_them = bool(options["ids"]), options["all"]
    if sum([named, bool(choice.given()), all_of_them]) != 1:
        raise Misuse("Say which: ids; or --group, --destination and --type in any mix; or --all.")


def _messages(ids: Sequence[UUID]) -> list[OutboxMessage]:
    """By key or by message id; index one_row_per_message_and_destination, and the primary key."""
    by_key = OutboxMessage.objects.filter(key__in=ids)
    return list((by_key | OutboxMessage.objects.filter(message_id__in=ids)).order_by("key"))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
