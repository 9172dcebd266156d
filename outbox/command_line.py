"""What our commands share: help with examples and exit codes, one name per option, JSON, who asks, operator verbs.

Guarantee: an exit code means the same in every command. 0: done, or done before; 1: refused, or something is wrong;
2: misuse, or it could not be asked; 3: proposed, and waits for a second person; 130: interrupted, what is done stays.
"""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from . import proposals
from .acts import Person
from .progress import Progress
from .proposals import Result
from .verb import Verb

DONE, REFUSED, MISUSED, PROPOSED, INTERRUPTED = 0, 1, 2, 3, 130
HELP_CHARACTERS = 100


class Misuse(CommandError):
    """What was typed makes no sense together: exit code 2, as for what the parser itself refuses."""

    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=MISUSED)


class _HelpFormatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Paragraphs and examples stay as they are written; Django's own options come last."""


class ServiceCommand(BaseCommand):
    """A command that explains itself: `help`, `examples` (what is typed after manage.py, and why), `exit_codes`."""

    examples: ClassVar[Sequence[tuple[str, str]]] = ()
    exit_codes: ClassVar[Mapping[int, str]] = {DONE: "done", MISUSED: "misuse"}

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> Any:
        parser = super().create_parser(
            prog_name, subcommand, formatter_class=_HelpFormatter, epilog=self._epilog(), **options
        )
        parser.description = "\n\n".join(fill(part, HELP_CHARACTERS) for part in self.help.split("\n\n"))
        return parser

    def _epilog(self) -> str:
        examples = [f"  manage.py {typed}\n      {why}" for typed, why in self.examples]
        codes = [f"  {code:<4} {means}" for code, means in self.exit_codes.items()]
        return "\n".join([*(["examples:", *examples, ""] if examples else []), "exit codes:", *codes])

    def print_json(self, data: Any) -> None:
        self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))

    def progress(self, what: str, options: Mapping[str, Any], *, total: int | None = None) -> Progress:
        """On a terminal only, and not with `--verbosity 0`."""
        return Progress(what, total=total, is_silent=options["verbosity"] == 0)

    def do(self, verb: Verb, row: models.Model, options: Mapping[str, Any], **answers: Any) -> None:
        """An operator's verb on a row, by the options that `add_act` adds; a dangerous one may become a proposal."""
        who, given = person(options), {"reason": options["reason"], **answers}
        try:
            if options["dry_run"]:
                would = proposals.rehearse(verb, row, who=who, answers=given)
                self._tell_result(verb, row, options, "would be done" if would else _ALREADY)
                return
            result = proposals.perform(verb, row, who=who, answers=given)
        except verb.every_refusal as refusal:
            said = str(refusal)
            raise CommandError(
                f"{verb.name}: {said}" if said.startswith("not applicable") else f"{verb.name} refused: {said}"
            ) from refusal
        self._tell_result(verb, row, options, _TOLD[result])
        if result in {Result.PROPOSED, Result.ALREADY_PROPOSED}:
            sys.exit(PROPOSED)

    def _tell_result(self, verb: Verb, row: models.Model, options: Mapping[str, Any], said: str) -> None:
        if options["json"]:
            self.print_json({"verb": verb.name, "target": str(row.pk), "result": said})
        else:
            self.stdout.write(f"{verb.name}: {said}.")


_ALREADY = "already done, nothing changed"
_TOLD = {
    Result.CHANGED: "done",
    Result.ALREADY_DONE: _ALREADY,
    Result.PROPOSED: "proposed; it is done when a second person approves it, in the admin under Proposals",
    Result.ALREADY_PROPOSED: "already proposed, and waits for a second person",
}


def add_json(parser: ArgumentParser, what: str = "one JSON object") -> None:
    parser.add_argument("--json", action="store_true", help=f"{what} on standard output, for programs")


def add_dry_run(parser: ArgumentParser, what: str = "only say what would be done; nothing changes") -> None:
    parser.add_argument("--dry-run", action="store_true", help=what)


def add_limit(parser: ArgumentParser, default: int | None, what: str) -> None:
    shown = "" if default is None else f" (default: {default:,})"
    parser.add_argument("--limit", type=positive, default=default, metavar="N", help=f"{what}{shown}")


def add_act(parser: ArgumentParser, *, required: bool = True) -> None:
    """What an act of an operator needs: why, and who."""
    parser.add_argument("--reason", type=not_blank, required=required, help="why; stands in the operator act for good")
    parser.add_argument(
        "--as", dest="user_name", metavar="USER", help="the user name that the operator act gets (default: none)"
    )


def person(options: Mapping[str, Any]) -> Person:
    """Who asks, by `--as`. Raises Misuse for a name that nobody has, or whose account is switched off."""
    name = options.get("user_name")
    if not name:
        return None
    found = get_user_model().objects.filter(**{get_user_model().USERNAME_FIELD: name}, is_active=True).first()
    if found is None:
        raise Misuse(f"--as {name}: there is no such user.")
    return found


def positive(text: str) -> int:
    """A number of rows: 1 or more."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is no number of 1 or more.")
    return int(text)


def not_blank(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("say why: it must not be blank.")
    return text.strip()
