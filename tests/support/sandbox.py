"""The sandbox in a process of its own, with a ledger of its own, one for the whole run: tests use keys of their own."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.folder import PROJECT_DIR
from local.ports import any_free
from local.program import Program
from local.stack import wait_until

KEY = {"Authorization": "Bearer sandbox-key"}


@dataclass
class Sandbox:
    """What a test asks the sandbox behind the service's back."""

    program: Program
    url: str

    def entries(self, path: str, *, key: str) -> list[dict[str, Any]]:
        """What stands in the ledger under a key, for example of `/payments/charges`."""
        answer = requests.get(self.url + path, params={"idempotency_key": key}, headers=KEY, timeout=5)
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def violations(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = requests.get(f"{self.url}/ledger/violations", timeout=5).json()["violations"]
        return found

    def mood(self, provider: str, mood: str, **rates: float) -> None:
        answer = requests.post(f"{self.url}/moods/{provider}", json={"mood": mood, "rates": rates}, timeout=5)
        answer.raise_for_status()

    def send_webhooks_to(self, url: str) -> None:
        requests.post(f"{self.url}/webhook-target", json={"url": url}, timeout=5).raise_for_status()

    def post(self, path: str, body: dict[str, Any], *, key: str, fault: str = "") -> requests.Response:
        headers = KEY | {"Idempotency-Key": key} | ({"X-Sandbox-Fault": fault} if fault else {})
        return requests.post(self.url + path, json=body, headers=headers, timeout=5, allow_redirects=False)

    def is_healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=1).ok
        except requests.RequestException:
            return False


def start_sandbox(folder: Path, *, port: int | None = None) -> Sandbox:
    """A sandbox whose ledger lives in `folder`: started again there, it remembers."""
    port = port or any_free()
    command = [sys.executable, str(PROJECT_DIR / "manage.py"), "sandbox", "run", "--port", str(port)]
    program = Program(
        name="sandbox",
        command=[*command, "--ledger", str(folder / "ledger.sqlite3"), "--webhook-url", ""],
        log=folder / "sandbox.log",
        directory=PROJECT_DIR,
    )
    program.start()
    sandbox = Sandbox(program, f"http://127.0.0.1:{port}")
    wait_until(sandbox.is_healthy, within_seconds=30, what="the sandbox serves")
    return sandbox


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running sandbox with webhooks off."""
    running = start_sandbox(tmp_path_factory.mktemp("sandbox"))
    yield running
    running.program.end(within_seconds=5)
