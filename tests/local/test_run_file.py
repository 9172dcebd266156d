"""What `make up` leaves for scripts, and what it takes away of an earlier run that was killed."""

import sys
from typing import ClassVar

import environ
import psutil
import pytest

from local import run_file
from local.folder import Folder
from local.program import Program


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def program(tmp_path):
    program = Program(
        name="worker", command=[sys.executable, "-c", "import time; time.sleep(600)"], log=tmp_path / "worker.log"
    )
    program.start()
    yield program
    program.kill()


def remember(folder, pid, created_at):
    folder.write_json(run_file.RUN_FILE, {"processes": {"worker": {"pid": pid, "created_at": created_at}}})


def test_what_an_earlier_run_left_alive_is_ended(folder, program):
    remember(folder, program.pid, psutil.Process(program.pid).create_time())

    assert run_file.end_leftovers(folder) == ["worker"]
    program.process.wait(timeout=5)
    assert not (folder.path / run_file.RUN_FILE).exists()


def test_a_process_that_only_has_the_same_number_is_left_alone(folder, program):
    remember(folder, program.pid, psutil.Process(program.pid).create_time() - 60)

    assert run_file.end_leftovers(folder) == []
    assert program.is_running


def test_nothing_is_ended_without_an_earlier_run(folder):
    assert run_file.end_leftovers(folder) == []


def test_the_secret_key_is_random_and_kept(folder, tmp_path):
    first = run_file.secret_key(folder)
    (tmp_path / "other").mkdir()

    assert run_file.secret_key(folder) == first
    assert run_file.secret_key(Folder(tmp_path / "other")) != first
    assert len(first) >= 50


class Environment(environ.Env):
    """Reads into a dictionary of its own."""

    ENVIRON: ClassVar[dict[str, str]] = {}


def test_the_environment_survives_being_written_and_read(folder):
    values = {"DATABASE_URL": "postgres://orders:p$w'd@127.0.0.1:1/orders", "KEY": 'a "b" #c', "DEBUG": "1"}

    run_file.write_env(folder, values)
    Environment.read_env(folder.path / run_file.ENV_FILE)

    assert values == Environment.ENVIRON
    assert (folder.path / run_file.ENV_FILE).stat().st_mode & 0o077 == 0
