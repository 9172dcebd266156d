"""`manage.py topology`: a thin shell over `outbox.topology`, for people and for a deploy."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from outbox import rabbitmq, topology
from outbox.conf import conf
from outbox.topology import Found, Part, State

DESTINATION = "rabbitmq"
UNREACHABLE_EXIT_CODE = 2
LIMITS = (
    "Limits of length come by policy, so that they can change without a new queue, for instance:\n"
    "  rabbitmqctl set_policy orders '\\.order-created\\.q$' '{\"max-length\": 1000000}' --apply-to queues"
)


class Command(BaseCommand):
    help = (
        "The exchange, queues and dead letters that RabbitMQ keeps for our consumers (OUTBOX['WORK_QUEUES']).\n\n"
        "  apply   makes what is missing; refuses to touch anything when a part stands there otherwise\n"
        "  check   compares, for a deploy: status 1 when something is missing or different\n"
        "  show    prints what is declared; asks no broker\n\n"
        "Status 2: the broker of RABBITMQ_URL could not be asked. The arguments of a queue never change: let it run\n"
        "empty, delete it and apply again, or give the new one another name. Bindings are made by apply;\n"
        "no client can compare them."
    )

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **options)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", choices=["apply", "check", "show"])
        parser.add_argument("--dry-run", action="store_true", help="apply: only say what would be made")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = topology.parts(conf().work_queues)
        if options["verb"] == "show":
            self._show(wanted)
            return
        try:
            with closing(_Asked()) as asked:
                found = topology.look(asked.connection, wanted)
                if options["verb"] == "check":
                    self._check(found)
                else:
                    self._refuse_different(found)
                    self._apply(asked, found, only_say=options["dry_run"])
        except rabbitmq.TROUBLE as error:
            raise CommandError(f"RabbitMQ: {rabbitmq.describe(error)}", returncode=UNREACHABLE_EXIT_CODE) from error

    def _show(self, wanted: Sequence[Part]) -> None:
        for part in wanted:
            self.stdout.write(part.title)
            for name, value in part.arguments.items():
                self.stdout.write(f"    {name} = {value}")
            for exchange, pattern in part.bindings:
                self.stdout.write(f"    bound to {exchange}" + (f" for {pattern}" if pattern else ""))
        self.stdout.write(LIMITS)

    def _check(self, found: Sequence[Found]) -> None:
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
            raise CommandError("RABBITMQ_URL is not set: there is no broker to ask.", returncode=UNREACHABLE_EXIT_CODE)
        options = destination["OPTIONS"]
        self.connection = rabbitmq.connect(rabbitmq.Address(url=options["url"], ca_file=options.get("ca_file", "")))

    def close(self) -> None:
        rabbitmq.let_go(self.connection)


def _line(found: Found) -> str:
    return f"{found.state.value:<12} {found.part.title}" + (f": {found.text}" if found.text else "")
