"""A real Postgres of one's own: from the wheel, or from the system, on 127.0.0.1 only.

Guarantees that starting is safe to repeat (a running server of the same data is used, a stale pid file is seen through)
and that a server this object started ends with it. Does not guarantee durability when `durable` is off: that is for
tests, which throw their databases away.
"""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from local import ports
from local.errors import LocalError, StartFailed
from local.folder import Folder
from local.postgres_installation import Installation, find
from local.program import Program
from local.screen import one_line
from local.unprivileged import home_for, rights_dropper

USER = "orders"
START_SECONDS = 30.0
START_TRIES = 3
MAX_CONNECTIONS = 200


@dataclass
class Postgres:
    """The cluster whose data lives in one folder."""

    folder: Folder
    durable: bool = True
    port: int = 0
    program: Program | None = None
    _password: str = field(default="", repr=False)

    def start(self) -> None:
        """Raises a LocalError that says in one sentence what is in the way."""
        self.folder.make()
        installation = find(self.home)
        self._password = self._remembered_password()
        if self._adopt(installation):
            return
        if not (self._data(installation) / "PG_VERSION").exists():
            self._initialise(installation)
        for attempt in range(START_TRIES):
            if self._try_to_start(installation, is_last=attempt == START_TRIES - 1):
                return

    def end(self) -> None:
        """Fast shutdown: sessions are cut, transactions are undone, nothing is lost."""
        if self.program:
            self.program.end(within_seconds=5)
            self.program = None

    def url(self, database: str) -> str:
        return f"postgres://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        """Leaves an existing one alone."""
        with self._connection() as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if not exists:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        with self._connection() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @property
    def home(self) -> Path:
        """Where the server's user may go: root's own folders are closed to the user that Postgres runs as."""
        return home_for(self.folder.path)

    @property
    def log(self) -> Path:
        return self.folder.path / "postgres.log"

    def _data(self, installation: Installation) -> Path:
        return self.home / f"postgres-{installation.major}"

    def _remembered_password(self) -> str:
        remembered = self.folder.read_json("postgres.json").get("password")
        if isinstance(remembered, str):
            return remembered
        password = secrets.token_hex(16)
        self.folder.write_json("postgres.json", {"password": password})
        return password

    def _adopt(self, installation: Installation) -> bool:
        """True when a server of this data answers; one that is just ending is waited for."""
        pid_file = self._data(installation) / "postmaster.pid"
        running = _read_pid_file(pid_file)
        deadline = time.monotonic() + 10
        while running and _is_postgres(running[0]) and time.monotonic() < deadline:
            self.port = running[1]
            if self._answers():
                return True
            time.sleep(0.1)
        if running and not _is_postgres(running[0]):
            pid_file.unlink(missing_ok=True)
        return False

    def _initialise(self, installation: Installation) -> None:
        """Into a draft first: what was cut off half-way is never taken for a cluster."""
        data = self._data(installation)
        draft = data.with_name(f"{data.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self.home / ".initial-password"
        password_file.write_text(self._password)
        program = Program(
            name="initdb",
            command=[
                str(installation.bin / "initdb"),
                *("-D", str(draft), "-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}"),
                *("-E", "UTF8", "--locale=C", "--no-instructions"),
                *(() if self.durable else ("--no-sync",)),
            ],
            log=self.folder.path / "initdb.log",
            directory=Path("/"),
            drop_rights=rights_dropper(draft, password_file),
        )
        status = program.run_to_end()
        password_file.unlink()
        if status:
            raise StartFailed(f"Postgres could not prepare {data}: {_last_line(program.said())}")
        draft.rename(data)

    def _try_to_start(self, installation: Installation, *, is_last: bool) -> bool:
        self.port = ports.choose(self.folder, "postgres")
        self.log.write_text("")
        self.program = Program(
            name="postgres",
            command=self._command(installation),
            log=self.log,
            directory=Path("/"),
            end_signal=signal.SIGINT,
            drop_rights=rights_dropper(self._data(installation)),
        )
        self.program.start()
        deadline = time.monotonic() + START_SECONDS
        while self.program.is_running and time.monotonic() < deadline:
            if self._answers():
                return True
            time.sleep(0.05)
        reason = _last_line(self.program.said())
        self.end()
        if is_last or "in use" not in reason:
            raise StartFailed(f"Postgres did not start: {reason} (log: {self.log})")
        return False

    def _command(self, installation: Installation) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "shared_buffers": "256MB",
            "shared_preload_libraries": "pg_stat_statements" if installation.has_statistics else "",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            # Tests throw their databases away, so a power cut may cost them; on a laptop's disk it saves minutes.
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(installation.bin / "postgres"), "-D", str(self._data(installation)), *options]

    def _answers(self) -> bool:
        try:
            with self._connection():
                return True
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise LocalError(
                    f"{self.home} holds a Postgres with another password than {self.folder.path}: `make reset` "
                    "forgets both."
                ) from None
            return False

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            yield connection


def _read_pid_file(path: Path) -> tuple[int, int] | None:
    """Process id and port of `postmaster.pid`."""
    try:
        lines = path.read_text().splitlines()
        return int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None


def _is_postgres(pid: int) -> bool:
    """A pid file outlives a power cut, and its number may belong to anybody by then."""
    try:
        return "postgres" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _last_line(text: str) -> str:
    """The line a person should see: the last one that names an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "FATAL" in line or "error" in line or "No space" in line]
    return one_line((errors or lines or ["it said nothing"])[-1])
