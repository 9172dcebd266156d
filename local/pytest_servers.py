"""Pytest plugin: Postgres and Valkey for the tests, started before Django reads its settings, ended with the run.

Guarantees each run data of its own (a second run beside the first takes another folder) and each xdist worker a Valkey
database of its own; pytest-django gives it a Postgres database. `DATABASE_URL` or `CELERY_BROKER_URL` in the
environment are used instead of a server of ours.
"""

import os
import re
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.errors import LocalError
from local.folder import Folder, local_dir
from local.servers import start_servers

TEST_ENVIRONMENT = {
    "DEBUG": "0",
    "LOCAL_TOOLS": "1",
    "HTTPS_ONLY": "0",
    "SECRET_KEY": "a-key-for-tests-that-signs-nothing-of-value-0123456789",
    "PROCESS_NAME": "tests",
    "LOG_LEVEL": "WARNING",
    "LOG_FORMAT": "console",
    "EMAIL_URL": "memorymail://",
    "THROTTLE_REQUESTS_PER_MINUTE": "0",
}
MAX_RUNS_AT_ONCE = 16


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """A wrapper runs before pytest-django's own hook, which reads the settings."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        os.environ["CELERY_BROKER_URL"] = _own_database(os.environ["CELERY_BROKER_URL"], worker)
    elif not early_config.known_args_namespace.version and not early_config.known_args_namespace.help:
        try:
            early_config.add_cleanup(prepare_environment().close)
        except LocalError as error:
            raise pytest.UsageError(str(error)) from None
    return (yield)


def prepare_environment() -> ExitStack:
    """Starts what the environment does not name already; closing the returned stack ends it."""
    with ExitStack() as stack:
        folder = _free_folder(local_dir() / "test", stack)
        # From here on `.local/env` of a running `make up` is out of sight.
        os.environ["ORDERS_LOCAL_DIR"] = str(folder.path)
        os.environ.update(TEST_ENVIRONMENT)
        servers = start_servers(folder, stack, durable=False)
        os.environ.update(DATABASE_URL=servers.database_url, CELERY_BROKER_URL=servers.broker_url)
        return stack.pop_all()


def _free_folder(first: Path, stack: ExitStack) -> Folder:
    """The first folder that no other test run holds: data and ports are kept from run to run."""
    for number in range(1, MAX_RUNS_AT_ONCE + 1):
        folder = Folder(first if number == 1 else first.with_name(f"{first.name}-{number}"))
        folder.make()
        lock = folder.hold()
        if lock:
            stack.enter_context(lock)
            return folder
    raise LocalError(f"{MAX_RUNS_AT_ONCE} test runs already use {first.parent}.")


def _own_database(broker_url: str, worker: str) -> str:
    """Worker gw0 uses database 1, gw1 database 2, …; other brokers than Redis are left as they are."""
    number = int(re.sub(r"\D", "", worker)) + 1
    return re.sub(r"^(redis://[^/]+)(/\d*)?$", rf"\1/{number}", broker_url)
