"""`make up` on this machine: refused, interrupted and killed. That it works is tests/acceptance/test_up_once.py."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from local.folder import PROJECT_DIR

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture
def environment(server_folder):
    """As in a person's shell: nothing of the test run's own servers."""
    hidden = ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "DEBUG")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "ORDERS_LOCAL_DIR": str(server_folder.path)}


@pytest.fixture
def up(environment):
    """Starts the command; whatever is left of it at the end is killed."""
    started = []

    def start_up():
        process = subprocess.Popen(
            [sys.executable, "-m", "local.up"],
            cwd=PROJECT_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_up
    for process in started:
        process.kill()
        process.communicate()
    for process in processes_of(environment):
        process.kill()


def processes_of(environment):
    """Every process that was started from this environment."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("ORDERS_LOCAL_DIR") == environment["ORDERS_LOCAL_DIR"]
        except psutil.Error:
            continue
        if ours and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def read_until(process, words):
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"never said {words!r}; it said: {process.stderr.read()}")


def assert_nothing_is_left(environment, *, within_seconds=10):
    deadline = time.monotonic() + within_seconds
    while processes_of(environment):
        assert time.monotonic() < deadline, processes_of(environment)
        time.sleep(0.05)


def test_an_interrupt_while_it_starts_leaves_nothing_behind(up, environment):
    process = up()
    read_until(process, "Postgres and Valkey are up")
    assert len(processes_of(environment)) > 2

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)

    assert_nothing_is_left(environment, within_seconds=1)


def test_a_supervisor_that_is_killed_takes_its_servers_along_and_the_next_one_starts(up, environment):
    first = up()
    read_until(first, "Postgres and Valkey are up")

    first.kill()
    assert_nothing_is_left(environment)

    second = up()
    read_until(second, "Postgres and Valkey are up")
    assert second.poll() is None


def test_a_second_one_over_the_same_folder_is_refused_with_a_sentence(up, environment):
    read_until(up(), "Postgres and Valkey are up")

    second = up()
    _, complaint = second.communicate(timeout=10)

    assert second.returncode == 1
    assert complaint.strip().startswith("Another `make up` already uses")
    assert "Traceback" not in complaint


def test_a_port_asked_for_by_name_that_is_taken_is_told_in_a_sentence(up, environment):
    environment["WEB_PORT"] = os.environ["DATABASE_URL"].rpartition(":")[2].partition("/")[0]

    _, complaint = up().communicate(timeout=30)

    assert f"Port {environment['WEB_PORT']} is taken by another program" in complaint
    assert_nothing_is_left(environment, within_seconds=1)


def test_a_database_that_does_not_answer_is_told_in_a_sentence(up, environment):
    environment["DATABASE_URL"] = "postgres://nobody:secret@127.0.0.1:1/orders"

    _, complaint = up().communicate(timeout=30)

    assert complaint.strip().startswith("The Postgres that DATABASE_URL names cannot be used: ")
    assert "Traceback" not in complaint
    assert "secret" not in complaint


def test_a_broker_that_does_not_answer_is_told_in_a_sentence(up, environment):
    environment["CELERY_BROKER_URL"] = "redis://:secret@127.0.0.1:1/0"

    _, complaint = up().communicate(timeout=30)

    assert complaint.strip().startswith("The broker that CELERY_BROKER_URL names cannot be used: ")
    assert "Traceback" not in complaint
    assert "secret" not in complaint
    assert_nothing_is_left(environment, within_seconds=1)
