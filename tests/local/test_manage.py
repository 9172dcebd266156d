"""`manage.py` on a machine where something is missing: one sentence and status 1, never a traceback."""

import os
import subprocess
import sys

import pytest

import manage
from local.folder import PROJECT_DIR

HIDDEN = ("DATABASE_URL", "CELERY_BROKER_URL", "LOCAL_TOOLS", "DEBUG")
NOBODY_LISTENS = "postgres://nobody:secret@127.0.0.1:1/orders"


@pytest.fixture
def run(tmp_path):
    """As in a person's second shell, with nothing running in the first."""
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}

    def run_manage(*arguments, options=(), **environment):
        return subprocess.run(
            [sys.executable, *options, "manage.py", *arguments],
            cwd=PROJECT_DIR,
            env={**kept, "ORDERS_LOCAL_DIR": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run_manage


def assert_told_in_a_sentence(result, words, *, code):
    assert result.returncode == code
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "secret" not in result.stderr


@pytest.mark.parametrize("arguments", [("sagas", "list"), ("migrate",)])
def test_a_database_that_does_not_answer_is_told_in_a_sentence(run, arguments):
    result = run(*arguments, DATABASE_URL=NOBODY_LISTENS)

    assert_told_in_a_sentence(result, "The Postgres that DATABASE_URL names cannot be used: ", code=2)


def test_the_traceback_is_there_for_whoever_asks(run):
    assert "Traceback" in run("migrate", "--traceback", DATABASE_URL=NOBODY_LISTENS).stderr


def test_without_a_configured_database_it_says_that_nothing_runs_here(monkeypatch):
    monkeypatch.delenv("DATABASE_URL")

    told = manage.why_no_database("connection refused\n\tIs the server running?")

    assert told == (
        "Nothing runs here: start `make up` and leave it running, or set DATABASE_URL (connection refused)."
    )


@pytest.mark.parametrize("command", manage.LOCAL_COMMANDS)
def test_a_command_of_the_local_tools_says_when_it_works(run, command):
    assert_told_in_a_sentence(run(command, "ledger", LOCAL_TOOLS="0"), "works while `make up` runs", code=1)


def test_the_local_commands_are_those_of_the_local_app():
    names = {path.stem for path in (PROJECT_DIR / "local/management/commands").glob("[a-z]*.py")}

    assert set(manage.LOCAL_COMMANDS) == names


def test_a_python_without_django_is_told_which_one_has_it(run):
    result = run("migrate", options=["-S"])

    assert_told_in_a_sentence(result, "run .venv/bin/python manage.py", code=1)
