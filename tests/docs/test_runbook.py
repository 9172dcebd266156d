"""The runbook can be followed by somebody who has never seen the code: what it tells to type is understood."""

import re
import shlex

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from django.db import connection

from tests.docs.pages import page

OPERATIONS, ALERTS = page("docs/operations.md"), page("docs/alerts.md")
TYPED = [
    line.split("manage.py ", 1)[1]
    for one in (OPERATIONS, ALERTS)
    for block in one.fences("sh")
    for line in re.split(r"\n|;", block)
    if "manage.py " in line
]
QUERIES = [query for block in OPERATIONS.fences("sql") for query in block.split(";") if query.strip()]
SYMPTOMS = (
    "Events do not fire",
    "A step ran twice",
    "A customer says charged twice",
    "The trace is green and there is no order",
    "A table is too big",
    "The broker lost everything",
    "Restore from a backup",
)


@pytest.mark.parametrize("line", TYPED)
def test_a_command_takes_every_word_that_the_page_tells_to_type(line):
    name, *arguments = shlex.split(line, comments=True)
    command = load_command_class(get_commands()[name], name)

    command.create_parser("manage.py", name).parse_args(arguments)


def test_a_word_that_a_command_does_not_take_would_be_seen():
    parser = load_command_class(get_commands()["audit"], "audit").create_parser("manage.py", "audit")

    for wrong in ("--rested", "--since yesterday"):
        with pytest.raises((CommandError, SystemExit)):
            parser.parse_args(shlex.split(wrong))


@pytest.mark.django_db
@pytest.mark.parametrize("query", QUERIES)
def test_postgres_understands_every_query(query):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}")
        assert cursor.fetchall()


def test_each_symptom_says_why_where_to_look_and_what_to_do_on_little_more_than_a_screen():
    for symptom in SYMPTOMS:
        section = re.search(rf"^### {symptom}\n\n(.*?)(?=^###? )", OPERATIONS.text, re.MULTILINE | re.DOTALL)
        assert section is not None, symptom
        for word in ("**Why.**", "**Look**", "**Do**"):
            assert word in section[1], (symptom, word)
        assert len([line for line in section[1].splitlines() if line.strip()]) <= 18, symptom
        assert any(fence in section[1] for fence in ("```sh", "```sql")), symptom
