"""Runs of pytest for the table: one Postgres and one Valkey for all, a database of its own for each guard.

Guarantee: each guard is removed from a fresh copy of the migrated database, so nothing that one run did reaches the
next. Not guaranteed: that a run ends by itself; it is given up after RUN_SECONDS.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from local.folder import PROJECT_DIR
from local.pytest_servers import prepare_environment

RUN_SECONDS = 600
# A table of two runs at a time: as many as the machine that CI gives us has cores.
RUNS_AT_ONCE = 2
# The slot of the run with every guard in place; its database is the one that the others are copied from.
UNTOUCHED = 0
PYTEST = (sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short", "-p", "tests.sabotage.switchboard")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one test ended; `exception` and `says` tell what it raised."""

    outcome: str
    when: str
    exception: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of pytest: `complaint` says why nothing can be concluded from it."""

    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    complaint: str = ""


@contextmanager
def servers() -> Iterator[None]:
    """Postgres and Valkey for every run that follows."""
    with prepare_environment():
        for number in range(RUNS_AT_ONCE + 1):
            # Empty: a run's own database is the test database that Django puts beside it.
            _execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(number))
            _execute("CREATE DATABASE {}", _name(number))
        yield


def run_untouched(tests: Sequence[str]) -> Run:
    """All these tests with every guard in place, on a new database that the others are copied from."""
    _execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", f"test_{_name(UNTOUCHED)}")
    return _pytest(tests, slot=UNTOUCHED, options=())


def run_sabotaged(tests: Sequence[str], guard: str, *, slot: int) -> Run:
    """These tests without that guard. Runs at the same time have slots of their own, from 1 on."""
    copy = f"test_{_name(slot)}"
    _execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", copy)
    _execute("CREATE DATABASE {} TEMPLATE {}", copy, f"test_{_name(UNTOUCHED)}")
    return _pytest(tests, slot=slot, options=("--sabotage", guard))


def _name(slot: int) -> str:
    return f"sabotage_{slot}"


def _pytest(tests: Sequence[str], *, slot: int, options: Sequence[str]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        # The markers' usual choice is left out: a test of the proof may catch a guard too.
        command = [*PYTEST, "--reuse-db", *options, "--sabotage-report", str(report), "-m", "", *sorted(set(tests))]
        try:
            done = subprocess.run(
                command,
                cwd=PROJECT_DIR,
                env=_environment(slot),
                capture_output=True,
                text=True,
                timeout=RUN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Run(complaint=f"not ended within {RUN_SECONDS} s")
        # 0: all passed, 1: some failed. Whatever else it is (not collected, a guard not found), it is no outcome.
        if done.returncode not in {0, 1} or not report.exists():
            return Run(complaint=f"pytest ended with status {done.returncode}: {_last_words(done.stdout, done.stderr)}")
        return Run(outcomes={test: Outcome(**told) for test, told in json.loads(report.read_text()).items()})


def _environment(slot: int) -> dict[str, str]:
    own = {
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{_name(slot)}").geturl(),
        "CELERY_BROKER_URL": urlsplit(os.environ["CELERY_BROKER_URL"])._replace(path=f"/{slot}").geturl(),
    }
    return {**os.environ, **own}


def _execute(statement: str, *names: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _last_words(*texts: str) -> str:
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    return " · ".join(lines[-4:])[:600]
