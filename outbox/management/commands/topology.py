"""`manage.py topology`: a thin shell over `outbox.topology`, for people and for a deploy."""

from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from django.core.management.base import CommandError

from outbox import rabbitmq, topology
from outbox.command_line import DONE, MISUSED, REFUSED, Misuse, ServiceCommand, add_dry_run, add_json
from outbox.conf import conf
from outbox.topology import Found, Part, State

DESTINATION = "rabbitmq"
LIMITS = (
    "Limits of length come by policy, so that they can change without a new queue, for instance:\n"
    "  rabbitmqctl set_policy orders '\\.order-created\\.q$' '{\"max-length\": 1000000}' --apply-to queues"
)


class Command(ServiceCommand):
    help = (
        "The exchange, queues and dead letters that RabbitMQ keeps for our consumers (OUTBOX['WORK_QUEUES']). apply "
        "makes what is missing, and refuses to touch anything when a part stands there otherwise; check compares, for "
        "a deploy; show prints what is declared, and asks no broker.\n\n"
        "The arguments of a queue never change: let it run empty, delete it and apply again, or give the new one "
        "another name. Bindings are made by apply; no client can compare them."
    )
    examples = (
        ("topology apply --dry-run", "what is missing"),
        ("topology check --json", "for a deploy: every part and how it stands"),
    )
    exit_codes = {
        DONE: "done, or everything is as declared",
        REFUSED: "check: something is missing or different; apply: refused, nothing was changed",
        MISUSED: "misuse, or the broker of RABBITMQ_URL could not be asked",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "verb", choices=["apply", "check", "show"], help="make what is missing, compare, or print what is declared"
        )
        add_dry_run(parser, "apply: only say what would be made")
        add_json(parser, "check and show: one JSON array")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["json"] and options["verb"] == "apply":
            raise Misuse("apply prints no JSON; check --json tells what stands.")
        wanted = topology.parts(conf().work_queues)
        if options["verb"] == "show":
            self._show(wanted, as_json=options["json"])
            return
        try:
            with closing(_Asked()) as asked:
                found = topology.look(asked.connection, wanted)
                if options["verb"] == "check":
                    self._check(found, as_json=options["json"])
                else:
                    self._refuse_different(found)
                    self._apply(asked, found, only_say=options["dry_run"])
        except rabbitmq.TROUBLE as error:
            raise CommandError(f"RabbitMQ: {rabbitmq.describe(error)}", returncode=MISUSED) from error

    def _show(self, wanted: Sequence[Part], *, as_json: bool) -> None:
        if as_json:
            self.print_json([_declared(part) for part in wanted])
            return
        for part in wanted:
            self.stdout.write(part.title)
            for name, value in part.arguments.items():
                self.stdout.write(f"    {name} = {value}")
            for exchange, pattern in part.bindings:
                self.stdout.write(f"    bound to {exchange}" + (f" for {pattern}" if pattern else ""))
        self.stdout.write(LIMITS)

    def _check(self, found: Sequence[Found], *, as_json: bool) -> None:
        if as_json:
            self.print_json([_declared(one.part) | {"state": one.state.value, "text": one.text} for one in found])
        else:
            for one in found:
                self.stdout.write(_line(one))
        wrong = [one for one in found if one.state is not State.AS_DECLARED]
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(found)} parts are not as declared.")

    def _refuse_different(self, found: Sequence[Found]) -> None:
        different = [_line(one) for one in found if one.state is State.DIFFERENT]
        if different:
            raise CommandError("\n".join(["Nothing was changed, because these stand there otherwise:", *different]))

    def _apply(self, asked: "_Asked", found: Sequence[Found], *, only_say: bool) -> None:
        missing = [one.part for one in found if one.state is State.MISSING]
        if not only_say:
            topology.declare(asked.connection, [one.part for one in found])
        for part in missing:
            self.stdout.write(f"{'would make' if only_say else 'made'}  {part.title}")
        self.stdout.write(
            f"{len(missing)} parts {'to make' if only_say else 'made'}, {len(found) - len(missing)} stood."
        )


class _Asked:
    """The connection that RABBITMQ_URL names, closed at the end."""

    def __init__(self) -> None:
        destination = conf().destinations.get(DESTINATION)
        if destination is None:
            raise CommandError("RABBITMQ_URL is not set: there is no broker to ask.", returncode=MISUSED)
        options = destination["OPTIONS"]
        self.connection = rabbitmq.connect(rabbitmq.Address(url=options["url"], ca_file=options.get("ca_file", "")))

    def close(self) -> None:
        rabbitmq.let_go(self.connection)


def _declared(part: Part) -> dict[str, Any]:
    return {"part": part.title, "arguments": dict(part.arguments), "bindings": [list(one) for one in part.bindings]}


def _line(found: Found) -> str:
    return f"{found.state.value:<12} {found.part.title}" + (f": {found.text}" if found.text else "")
