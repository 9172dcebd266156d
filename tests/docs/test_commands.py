"""Every command of ours explains itself, says the same things in the same words, and stands in docs/commands.md."""

import re

import pytest
from django.core.management import CommandError, call_command

from outbox.command_line import DONE, INTERRUPTED, MISUSED, PROPOSED, REFUSED, ServiceCommand
from tests.docs import commands_page
from tests.docs.pages import page

COMMANDS = [pytest.param(name, command, id=name) for name, command in commands_page.commands().items()]
# mission.md, "Operating it", and what the operators' issue adds.
PROMISED = {
    "relay_outbox", "outbox_status", "requeue_outbox", "purge_outbox", "purge_inbox", "purge_sagas",
    "purge_idempotency_keys", "sagas", "audit", "drill", "sandbox", "seed_demo", "seed_messages", "dump_outbox",
    "breakers", "config", "reconcile", "topology", "create_groups",
}  # fmt: skip
CHANGE_SOMETHING = {
    "requeue_outbox", "purge_outbox", "purge_inbox", "purge_sagas", "purge_idempotency_keys", "seed_messages",
    "reconcile", "topology", "create_groups",
}  # fmt: skip
SPEAK_JSON = PROMISED - {"relay_outbox", "dump_outbox", "sandbox"}


def options(command):
    """{option: [its arguments]} of the command and of its verbs."""
    found = {}
    for _, parser in commands_page.parsers(command.create_parser("manage.py", "x")):
        for action in commands_page.arguments(parser):
            for name in action.option_strings:
                found.setdefault(name, []).append(action)
    return found


def test_every_command_that_was_promised_exists():
    assert PROMISED - commands_page.commands().keys() == set()


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_a_command_has_help_for_itself_its_verbs_and_everything_that_may_be_typed(name, command):
    assert len(command.help) >= 60
    for verb, parser in commands_page.parsers(command.create_parser("manage.py", name)):
        silent = [action.dest for action in commands_page.arguments(parser) if not action.help]
        assert silent == [], verb
        if verb:
            assert commands_page._help_of_verb(command, name, verb)


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_help_ends_with_examples_that_can_be_typed_and_with_the_exit_codes(name, command):
    assert isinstance(command, ServiceCommand)
    shown = command.create_parser("manage.py", name).format_help()
    assert command.examples
    for typed, why in command.examples:
        assert typed.split()[0] == name
        assert f"manage.py {typed}\n      {why}" in shown
        assert [one for one in re.findall(r"(?<=\s)--[a-z-]+", typed) if one not in options(command)] == []
    for code, means in command.exit_codes.items():
        assert f"  {code:<4} {means}" in shown
    assert {DONE, MISUSED} <= command.exit_codes.keys() <= {DONE, REFUSED, MISUSED, PROPOSED, INTERRUPTED}


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_one_option_is_called_the_same_and_means_the_same_in_every_command(name, command):
    found = options(command)
    for action in found.get("--json", []) + found.get("--dry-run", []):
        assert action.nargs == 0
    for action in found.get("--reason", []):
        assert "why; stands in the operator act for good" in action.help
    assert ("--reason" in found) == ("--as" in found)
    for action in found.get("--limit", []):
        assert action.help.startswith("at most so many")
    assert not found.keys() & {"--format", "--noop", "--simulate", "--max", "--why", "--user"}


def test_what_changes_something_can_be_rehearsed_and_what_a_script_wants_is_json():
    known = commands_page.commands()
    assert [name for name in sorted(CHANGE_SOMETHING) if "--dry-run" not in options(known[name])] == []
    assert [name for name in sorted(SPEAK_JSON) if "--json" not in options(known[name])] == []


def test_a_verb_with_a_reason_can_be_rehearsed():
    for name, command in commands_page.commands().items():
        for verb, parser in commands_page.parsers(command.create_parser("manage.py", name)):
            typed = {one for action in commands_page.arguments(parser) for one in action.option_strings}
            assert "--reason" not in typed or "--dry-run" in typed, f"{name} {verb}"


def test_a_blank_reason_is_misuse():
    with pytest.raises(CommandError, match=r"--reason: say why: it must not be blank"):
        call_command("requeue_outbox", "--all", "--reason", "  ")


def test_the_page_says_what_the_commands_say():
    """Renew it with `python -m tests.docs.commands_page`."""
    assert page("docs/commands.md").text == commands_page.page()
