"""The list of guards is whole and up to date: every guard that docs/invariants.md names, every edit's text, every test.

`make sabotage` removes them one by one; here it is only seen, in a moment, that there is something to remove.
"""

import re

import pytest
from django.db import connection, transaction

from tests.docs.pages import page
from tests.docs.test_references import NAMED_GUARD, _tests_in
from tests.sabotage.guard import POSTGRES
from tests.sabotage.guards import GUARDS
from tests.sabotage.removal import Edit, GuardNotFound, Sql

PROMISES = [f"I{number}" for number in range(1, 15)]
# Named beside a promise, and no guard that could be removed: why not.
NOT_REMOVED = {
    "outbox_open": "an index that finds the open messages; without it the same ones are found more slowly",
}


def names() -> list[str]:
    return [guard.name for guard in GUARDS]


def catching() -> set[str]:
    return {test for guard in GUARDS for some in (guard.caught_by, *guard.alone.values()) for test in some}


def test_every_guard_has_a_name_of_its_own_that_a_shell_takes():
    assert len(set(names())) == len(GUARDS)
    assert [name for name in names() if not re.fullmatch(r"[a-z0-9_]+", name)] == []


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_a_guard_that_is_removed(promise):
    assert [guard.name for guard in GUARDS if promise in guard.promises.split(", ")]


def test_every_guard_of_postgres_that_the_invariants_name_is_removed_once_or_it_is_said_why_not():
    rows = [line.split(" | ")[2] for line in page("docs/invariants.md").text.splitlines() if line.startswith("| I")]
    named = {text for row in rows for text in re.findall(r"`([^`]+)`", row)}
    named = {text for text in named if NAMED_GUARD.match(text) or text in {"due_at", "outbox_open"}}
    removed = " ".join(one.statement for guard in GUARDS for one in guard.removals() if isinstance(one, Sql))

    assert len(named) >= 25
    assert {name for name in named if not re.search(rf"\b{name}\b", removed)} == set(NOT_REMOVED)


def test_what_the_guards_remove_from_the_code_stands_there_once():
    for removal in (one for guard in GUARDS for one in guard.removals()):
        if isinstance(removal, Edit):
            removal.check()


@pytest.mark.django_db
def test_what_the_guards_remove_from_postgres_is_there():
    with connection.cursor() as cursor:
        for guard in GUARDS:
            with transaction.atomic():
                for removal in guard.layers.get(POSTGRES, ()):
                    cursor.execute(removal.statement)
                transaction.set_rollback(True)


def test_an_edit_that_finds_nothing_is_an_error():
    with pytest.raises(GuardNotFound, match="0 times"):
        Edit("outbox.inbox.record", "what never stood there").check()
    with pytest.raises(GuardNotFound):
        Edit("outbox.inbox.no_such_function", "").check()


def test_every_catching_test_exists():
    named = [test.partition("[")[0].partition("::") for test in sorted(catching())]

    assert [f"{path}::{name}" for path, _, name in named if f"::{name}" not in _tests_in(path)] == []


def test_the_page_tells_every_guard_and_no_other():
    rows = [line for line in page("docs/sabotage.md").text.splitlines() if line.startswith("| `")]

    assert rows == [
        f"| `{guard.name}` | {guard.promises} | {' + '.join(guard.layers)} | {guard.guards} |" for guard in GUARDS
    ]
