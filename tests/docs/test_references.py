"""What the documents name exists: pages, headings, files, tests, commands, targets, variables, constraints."""

import ast
import re
from functools import cache

import pytest
from django.core.management import get_commands, load_command_class
from django.db import connection

from idempotency.models import KEY_MAX_LENGTH
from tests.architecture.tree import APPS, OURS, ROOT
from tests.docs.pages import Page, page, pages

PAGES = [pytest.param(one, id=one.path) for one in pages()]
TEST_NAME = re.compile(r"\b(tests/[\w/]+\.py)((?:::\w+)+)")
FILE_NAME = re.compile(rf"^(?:{'|'.join([*OURS, 'docs'])})/[\w/.-]+\.(?:py|md|yml|html)$")
MAKE_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
COMMAND = re.compile(r"manage\.py ([a-z_]+)")
VARIABLE = re.compile(r"^(?:[A-Z][A-Z0-9]*_)+[A-Z0-9]+$")
BANNED = re.compile(
    r"\b(jobs?|handlers?|listeners?|dispatchers?|workflows?|rollbacks?|poison\w*|prun\w+|utils|helpers|simply)\b", re.I
)
NAMED_GUARD = re.compile(r"^[a-z][a-z0-9]*(?:_[a-z0-9]+){2,}$")
GUARDS = """
SELECT conname FROM pg_constraint UNION SELECT relname FROM pg_class WHERE relkind = 'i'
UNION SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
"""


@pytest.mark.parametrize("one", PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(one: Page):
    broken = [link for link in one.links if not _leads_somewhere(one, link)]

    assert broken == []


@pytest.mark.parametrize("one", PAGES)
def test_every_file_that_is_named_exists(one: Page):
    named = {text for text in one.inline_code if FILE_NAME.match(text)}

    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("one", PAGES)
def test_every_test_that_is_named_exists(one: Page):
    named = TEST_NAME.findall(one.text)

    assert [(path, name) for path, name in named if name not in _tests_in(path)] == []


@pytest.mark.parametrize("one", PAGES)
def test_every_make_target_that_is_named_exists(one: Page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for line in one.code for target in MAKE_TARGET.findall(line)}

    assert named - targets == set()


@pytest.mark.parametrize("one", PAGES)
def test_every_command_that_is_named_exists_with_its_options(one: Page):
    for line in one.code:
        for name in COMMAND.findall(line):
            assert name in get_commands(), line
            if _is_ours(name):
                told = _help_of(name)
                options = re.findall(r"(?<=\s)(--[a-z-]+)", line.split(f"manage.py {name}", 1)[1])
                assert [option for option in options if option not in told] == [], line


@pytest.mark.parametrize("one", PAGES)
def test_every_variable_that_is_named_is_in_the_example(one: Page):
    known = (ROOT / ".env.example").read_text() + (ROOT / "orders_project" / "settings.py").read_text()
    named = {text.partition("=")[0] for text in one.inline_code if VARIABLE.match(text.partition("=")[0])}

    assert {name for name in named if not re.search(rf"\b{name}\b", known) and not _is_code(name)} == set()


@pytest.mark.parametrize("one", PAGES)
def test_one_word_is_used_for_one_thing(one: Page):
    # A page that lists the words that we do not use may name them, in quotes.
    text = re.sub(r'"[^"\n]*"', "", re.sub(r"`[^`\n]*`", "", one.prose))

    assert [match[0] for match in BANNED.finditer(text)] == []


@pytest.mark.parametrize("one", PAGES)
def test_every_example_in_python_can_be_parsed(one: Page):
    for example in one.fences("python"):
        ast.parse(example)


def test_the_failure_table_names_a_test_in_every_row():
    rows = [line for line in page("README.md").text.split("\n\n")[2].splitlines()[2:] if line.startswith("|")]

    assert len(rows) >= 10
    assert [row for row in rows if not TEST_NAME.search(row)] == []


@pytest.mark.django_db
def test_every_guard_named_beside_an_invariant_exists_in_postgres():
    """I1–I14: what docs/invariants.md says of Postgres is what Postgres says of itself."""
    with connection.cursor() as cursor:
        cursor.execute(GUARDS)
        known = {name for (name,) in cursor.fetchall()}
    rows = [line for line in page("docs/invariants.md").text.splitlines() if line.startswith("| I")]
    named = {text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[2]) if NAMED_GUARD.match(text)}

    assert len(rows) == 14
    assert len(named) >= 20
    assert named - known == set()


def test_every_invariant_has_code_and_a_test():
    for row in (line for line in page("docs/invariants.md").text.splitlines() if line.startswith("| I")):
        _, _, _, code, proof = row.strip("| ").split(" | ")
        files = re.findall(r"`([\w/]+\.py)`", code)
        assert files, row
        assert [name for name in files if not (ROOT / name).exists()] == [], row
        assert TEST_NAME.search(proof), row


def test_the_limits_that_the_api_page_states_are_the_codes():
    text = page("docs/api.md").text

    assert f"1 to {KEY_MAX_LENGTH} printable" in text


def _leads_somewhere(one: Page, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = ((ROOT / one.path).parent / path).resolve() if path else ROOT / one.path
    if not target.exists():
        return False
    return not anchor or anchor in Page(link, target.read_text()).anchors


@cache
def _tests_in(path: str) -> frozenset[str]:
    if not (ROOT / path).exists():
        return frozenset()
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        match node:
            case ast.FunctionDef(name=name):
                names.add(f"::{name}")
            case ast.ClassDef(name=name, body=body):
                names.add(f"::{name}")
                names |= {f"::{name}::{one.name}" for one in body if isinstance(one, ast.FunctionDef)}
            case _:
                pass
    return frozenset(names)


def _is_ours(name: str) -> bool:
    return get_commands()[name] in {*APPS, "local", "orders_project", "audit"}


@cache
def _help_of(name: str) -> str:
    """The command's own help, and that of its verbs."""
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    verbs = [verb for action in parser._actions if isinstance(action.choices, dict) for verb in action.choices.values()]
    return " ".join(one.format_help() for one in [parser, *verbs])


def _is_code(name: str) -> bool:
    """A constant of a module, not a variable of the environment."""
    return any(
        re.search(rf"^\s*{name}\b", path.read_text(), re.MULTILINE)
        for folder in (*APPS, "orders_project", "local")
        for path in (ROOT / folder).rglob("*.py")
    )
