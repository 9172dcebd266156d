"""docs/commands.md, written from the commands themselves: `python -m tests.docs.commands_page` renews it.

Guarantee: what the page says of a command is what its --help says.
"""

import os
from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from typing import Any

from tests.architecture.tree import APPS, ROOT

PAGE = ROOT / "docs" / "commands.md"
INTRODUCTION = """# Commands

Everything that can be done from a shell, beside the admin. This page is written from the commands' own `--help` by
`python -m tests.docs.commands_page`; a test compares them.

The same in all of them: what changes something by a person's wish asks for `--reason`, which stands in the operator
act, beside the name that `--as` gives; `--dry-run` tells what would be done, and changes nothing; `--json` is for
programs, on standard output, and what is for people beside it goes to standard error, progress on a terminal too. An
exit code means the same everywhere:

| exit code | means |
| --- | --- |
| 0 | done, or done before |
| 1 | refused; or something is wrong, and the command was asked to say so |
| 2 | misuse; or it could not be asked or judged |
| 3 | proposed: [it takes a second person](operations.md#who-may-do-what) |
| 130 | interrupted: what is done stays done, in whole batches |
"""
# Django's own, the same in every command.
GIVEN = {
    "help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks",
}  # fmt: skip


def commands() -> dict[str, Any]:
    """Our commands by name."""
    from django.core.management import get_commands, load_command_class

    ours = {name: app for name, app in get_commands().items() if app in {*APPS, "orders_project", "local"}}
    return {name: load_command_class(app, name) for name, app in sorted(ours.items())}


def page() -> str:
    return "\n".join(
        [INTRODUCTION, *(line for name, command in commands().items() for line in _section(name, command))]
    )


def parsers(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """The command's own under "", and those of its verbs under their names."""
    yield "", parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            yield from action.choices.items()


def arguments(parser: ArgumentParser) -> list[Action]:
    """What may be typed, Django's own options and the choice of a verb left out."""
    return [
        action
        for action in parser._actions
        if action.dest not in GIVEN and action.help != SUPPRESS and not isinstance(action, _SubParsersAction)
    ]


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## `{name}`\n"
    yield f"{command.help}\n"
    for verb, parser in parsers(command.create_parser("manage.py", name)):
        if verb:
            yield f"`{name} {verb}`: {_help_of_verb(command, name, verb)}.\n"
        lines = [f"- `{_typed(action)}`: {_told(action)}" for action in arguments(parser)]
        if lines:
            yield "\n".join(lines) + "\n"
    if command.examples:
        yield "\n".join(["```sh", *_examples(command), "```\n"])
    yield "Exit codes: " + "; ".join(f"{code}: {means}" for code, means in command.exit_codes.items()) + ".\n"


def _examples(command: Any) -> Iterator[str]:
    for typed, why in command.examples:
        yield f".venv/bin/python manage.py {typed}  # {why}"


def _help_of_verb(command: Any, name: str, verb: str) -> str:
    [verbs] = [
        action for action in command.create_parser("manage.py", name)._actions if isinstance(action, _SubParsersAction)
    ]
    return next(str(action.help) for action in verbs._choices_actions if action.dest == verb)


def _typed(action: Action) -> str:
    takes = "" if action.nargs == 0 else str(action.metavar or "")
    if not takes and action.choices is not None:
        takes = "|".join(map(str, action.choices))
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    value = takes or ("" if action.nargs == 0 else action.dest.upper())
    return f"{name} {value}".strip() if action.option_strings else (takes or name)


def _told(action: Action) -> str:
    return str(action.help) + (" (needed)" if action.option_strings and action.required else "")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orders_project.settings")
    os.environ.setdefault("LOCAL_TOOLS", "1")
    import django

    django.setup()
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
