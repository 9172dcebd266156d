"""The real service for a test: its processes over the test's own database and a Valkey of the test's own.

Nothing is running until the test starts it by name; everything is killed when the test ends. Rows are read with the ORM
as usual: the processes work on the very database of the test (`transactional_db`).
"""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
from django.db import connection, connections

from local.folder import PROJECT_DIR, Folder, local_dir
from local.process_table import NAMES
from local.seed import seed_demo
from local.stack import Stack, wait_until
from local.valkey import Valkey

REQUEST_SECONDS = 30
# A machine that is busy with other tests takes its time to load eight processes.
START_SECONDS = 300
AUDIT_SECONDS = 120


@dataclass
class Service:
    """What a test does to the service from outside."""

    stack: Stack
    valkey: Valkey
    tokens: Mapping[str, str]
    http: requests.Session = field(default_factory=requests.Session)

    @property
    def base_url(self) -> str:
        return self.stack.base_url

    @property
    def sandbox_url(self) -> str:
        return self.stack.sandbox_url

    def start(self, *names: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts the named processes (`worker-2` is a second worker), or all, and waits until each is ready."""
        self.stack.start(*names, environment=environment)
        self.stack.wait_until_ready(*(names or NAMES), within_seconds=START_SECONDS)

    def kill(self, *names: str) -> None:
        """SIGKILL to each whole process group."""
        self.stack.kill(*names)

    def stop(self, *names: str) -> None:
        """The orderly end."""
        self.stack.stop(*names)

    def flush_broker(self) -> None:
        """FLUSHALL: the broker forgets everything it carried."""
        with redis.Redis.from_url(self.valkey.url()) as client:
            client.flushall()

    def request(self, method: str, path: str, *, role: str = "customer", **options: Any) -> requests.Response:
        headers = {"Authorization": f"Token {self.tokens[role]}", **options.pop("headers", {})}
        return self.http.request(method, self.base_url + path, headers=headers, timeout=REQUEST_SECONDS, **options)

    def place(
        self, body: Mapping[str, Any], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """POST /orders with this key, or a new one."""
        own = {"Idempotency-Key": f'"{key or uuid.uuid4()}"', **(headers or {})}
        return self.request("POST", "/orders", json=dict(body), headers=own)

    def audit(self, *options: str) -> list[dict[str, Any]]:
        """What `manage.py audit --at-rest --json` finds, with the environment of the processes; [] when all is well.

        Fails when it could not judge everything. `--no-ledgers` leaves the providers' books alone.
        """
        command = [sys.executable, str(PROJECT_DIR / "manage.py"), "audit", "--at-rest", "--json", *options]
        environment = {**os.environ, **self.stack.environment, "PROCESS_NAME": "audit"}
        ended = subprocess.run(
            command,
            env=environment,
            cwd=PROJECT_DIR,
            capture_output=True,
            text=True,
            timeout=AUDIT_SECONDS,
            check=False,
        )
        assert ended.returncode in {0, 1}, f"the audit could not judge: {ended.stdout}{ended.stderr}"
        found: list[dict[str, Any]] = json.loads(ended.stdout)["violations"]
        assert bool(found) == bool(ended.returncode), ended.stderr
        return found

    def wait_until(self, happened: Callable[[], bool], *, within_seconds: float, what: str) -> None:
        wait_until(happened, within_seconds=within_seconds, what=what)


@pytest.fixture
def service(transactional_db: None) -> Iterator[Service]:
    """A service of which nothing runs yet. Valkey is the test's own, so that it may be emptied or killed."""
    folder = Folder(local_dir() / f"service-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")
    folder.make()
    _forget_what_earlier_tests_left(folder)
    valkey = Valkey(folder)
    environment: dict[str, str] = {}
    stack = Stack(folder, environment)
    try:
        valkey.start()
        environment |= _environment(folder, stack, valkey)
        yield Service(stack, valkey, seed_demo(folder)["tokens"])
    finally:
        stack.kill()
        valkey.end()
        _end_other_sessions()


def _forget_what_earlier_tests_left(folder: Folder) -> None:
    """The sandbox's books and beat's memory: charges of orders that are no more would be differences.

    A tick that an earlier test's beat has just sent would come late in this one.
    """
    shutil.rmtree(folder.path / "sandbox", ignore_errors=True)
    for schedule in folder.path.glob("beat*-schedule*"):
        schedule.unlink()


def _environment(folder: Folder, stack: Stack, valkey: Valkey) -> dict[str, str]:
    metrics = folder.path / "metrics"
    metrics.mkdir(exist_ok=True)
    for old in metrics.glob("*.db"):
        old.unlink()
    server = urlsplit(os.environ["DATABASE_URL"])
    return {
        "DATABASE_URL": server._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
        "CELERY_BROKER_URL": valkey.url(),
        "THROTTLE_REDIS_URL": valkey.url(1),
        "SANDBOX_URL": stack.sandbox_url,
        "WEBHOOK_URL": f"{stack.base_url}/webhooks/payments",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "ORDERS_LOCAL_DIR": str(folder.path),
        "LOG_LEVEL": "INFO",
    }


def _end_other_sessions() -> None:
    """Killed processes leave sessions that Postgres has not noticed yet; they would hold up the cleaning of tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connections.close_all()
