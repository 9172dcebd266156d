"""`manage.py create_groups`: makes the groups viewer, operator and supervisor what this code says they are."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from orders_project import groups
from outbox.command_line import DONE, MISUSED, REFUSED, ServiceCommand, add_dry_run, add_json


class Command(ServiceCommand):
    help = (
        "Makes the groups viewer (sees everything), operator (and does what is harmless) and supervisor (and what is "
        "dangerous, and decides on proposals) have exactly the permissions that this code says. Run it after every "
        "migrate, as `make up` and docker-compose.yml do: safe to repeat. Other groups are left alone: give people "
        "further permissions by a group of your own.\n\n"
        "Members are added in the admin; to enter it an account needs staff status, too."
    )
    examples = (
        ("create_groups", "after migrate"),
        ("create_groups --check", "for a deploy: exit code 1 when a group is not as it should be"),
    )
    exit_codes = {
        DONE: "done, also when nothing had to change",
        REFUSED: "with --check: a group is not as it should be; else: migrate has not run",
        MISUSED: "misuse",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when something would")
        add_dry_run(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        only_look = options["dry_run"] or options["check"]
        try:
            told = groups.changes() if only_look else groups.bring_up_to_date()
        except groups.PermissionsMissing as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        changed = [change for change in told if change]
        self._tell(changed, options, only_look=only_look)
        if options["check"] and changed:
            raise CommandError(f"{len(changed)} groups are not as they should be.", returncode=REFUSED)

    def _tell(self, changed: list[groups.Change], options: dict[str, Any], *, only_look: bool) -> None:
        if options["json"]:
            self.print_json(
                [{"group": one.group, "gains": sorted(one.gains), "loses": sorted(one.loses)} for one in changed]
            )
            return
        gain, lose = ("would gain", "would lose") if only_look else ("gains", "loses")
        for one in changed:
            for did, names in ((gain, one.gains), (lose, one.loses)):
                if names:
                    self.stdout.write(f"{one.group} {did}: {', '.join(sorted(names))}")
        if not changed:
            self.stdout.write("The groups are as they should be.")
