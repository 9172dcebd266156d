"""`make up` for a test: the program itself over a data folder of the test's own, and a second shell beside it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from local.folder import PROJECT_DIR, Folder
from local.run_file import RUN_FILE
from local.unprivileged import home_for

# What the test run says of its own servers, and what a person's shell would not.
HIDDEN = (
    *("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "DEBUG", "LOG_LEVEL", "EMAIL_URL"),
)
# The last line of its last screen.
READY = "Ctrl-C ends everything"
# A machine that is busy with other tests takes its time.
START_SECONDS, END_SECONDS, COMMAND_SECONDS, REQUEST_SECONDS = 300, 60, 120, 30


@dataclass(frozen=True)
class MadeUp:
    """A running `make up`: `run` is what it tells scripts (run.json)."""

    environment: dict[str, str]
    run: dict[str, Any]

    @property
    def base_url(self) -> str:
        return str(self.run["base_url"])

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`manage.py …` in a second shell."""
        return subprocess.run(
            [sys.executable, str(PROJECT_DIR / "manage.py"), *words],
            cwd=PROJECT_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def place(self, sku: str) -> str:
        """One order of the demo customer; its id."""
        answer = requests.post(
            f"{self.base_url}/orders",
            json={"sku": sku, "quantity": 1},
            headers={"Authorization": f"Token {self.run['tokens']['customer']}"},
            timeout=REQUEST_SECONDS,
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the database says."""
        with psycopg.connect(self.run["database_url"]) as session:
            return session.execute(sql, parameters).fetchall()


Start = Callable[..., MadeUp]


@pytest.fixture
def make_up(tmp_path: Path) -> Iterator[Start]:
    """Starts it with these variables, once; ends it as Ctrl-C does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**variables: str) -> MadeUp:
        kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
        environment = {**kept, "ORDERS_LOCAL_DIR": str(tmp_path / "data"), **variables}
        said = tmp_path / "said.txt"
        with said.open("wb") as out:
            program = subprocess.Popen(
                [sys.executable, "-m", "local.up"], cwd=PROJECT_DIR, env=environment, stdout=out, stderr=out
            )
        started.append(program)
        _wait_until_ready(program, said)
        return MadeUp(environment, Folder(tmp_path / "data").read_json(RUN_FILE))

    yield start
    for program in started:
        program.send_signal(signal.SIGINT)
        try:
            program.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()
    shutil.rmtree(home_for(tmp_path / "data"), ignore_errors=True)


def _wait_until_ready(program: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while READY not in said.read_text():
        assert program.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.2)
