"""A RabbitMQ node of one's own, when the system has rabbitmq-server installed: for tests on the other broker.

Guarantees that the node and the name server it needs listen on loopback only and end with whoever started them. Keeps
its data between starts in the folder.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import kombu

from local import ports
from local.errors import ServerMissing, StartFailed
from local.folder import Folder
from local.program import Program

START_SECONDS = 60.0
# Debian's own command changes the user and reads the system's configuration; the one it calls does neither.
SERVER_PATHS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/sbin/rabbitmq-server")

LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"


def find() -> str | None:
    """The server's start script; None when RabbitMQ is not installed."""
    known = next((path for path in SERVER_PATHS if Path(path).exists()), None)
    return known or shutil.which("rabbitmq-server")


@dataclass
class RabbitMQ:
    """One node with its own name server, so that it meets no other node of the machine."""

    folder: Folder
    # Lines of rabbitmq.conf, and plugins; a plugin that listens is told by its line where.
    configuration: Sequence[str] = ()
    plugins: Sequence[str] = ()
    port: int = 0
    programs: list[Program] = field(default_factory=list)
    _started_with: dict[str, str] = field(default_factory=dict, repr=False)

    def start(self) -> None:
        """Raises a LocalError that says in one sentence what is in the way."""
        server = find()
        names = shutil.which("epmd")
        if server is None or names is None:
            raise ServerMissing("rabbitmq-server is not installed (Debian: apt install rabbitmq-server).")
        self.folder.make()
        self.port = ports.choose(self.folder, "rabbitmq")
        environment = self._started_with = self._environment()
        commands = {
            "epmd": [names, "-address", "127.0.0.1", "-port", environment["ERL_EPMD_PORT"]],
            "rabbitmq": [server],
        }
        for name, command in commands.items():
            log = self.folder.path / f"{name}.log"
            program = Program(name=name, command=command, log=log, environment=environment)
            self.programs.append(program)
            program.start()
        self._wait()

    def end(self) -> None:
        """The node first, then the name server."""
        for program in reversed(self.programs):
            program.end(within_seconds=10)
        self.programs.clear()

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says to this node's administrator. Raises StartFailed with its reason."""
        command = [str(Path(find() or "").with_name("rabbitmqctl")), *arguments]
        environment = {**os.environ, **self._started_with, "RABBITMQ_CTL_ERL_ARGS": LOOPBACK_ONLY}
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if said.returncode:
            raise StartFailed(f"rabbitmqctl {arguments[0]} failed: {said.stderr.strip() or said.stdout.strip()}")
        return said.stdout

    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _environment(self) -> dict[str, str]:
        path = self.folder.path
        self._write_cookie()
        (path / "rabbitmq-plugins").write_text(f"[{','.join(self.plugins)}].\n")
        lines = ["# Nothing of the system's configuration counts here.", *self.configuration]
        (path / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        return {
            "HOME": str(path),
            "ERL_EPMD_PORT": str(ports.choose(self.folder, "epmd")),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"orders-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(ports.choose(self.folder, "rabbitmq-nodes")),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK_ONLY,
            "RABBITMQ_CONFIG_FILE": str(path / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(path / "rabbitmq-plugins"),
            "RABBITMQ_MNESIA_BASE": str(path / "rabbitmq-data"),
            "RABBITMQ_LOG_BASE": str(path / "rabbitmq-logs"),
            "RABBITMQ_LOGS": "-",
        }

    def _write_cookie(self) -> None:
        cookie = self.folder.path / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.programs[-1].is_running and time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(0.1)
        self.end()
        raise StartFailed(f"RabbitMQ did not start; its log is {self.folder.path / 'rabbitmq.log'}.")

    def _answers(self) -> bool:
        try:
            with kombu.Connection(self.url(), connect_timeout=2, transport_options={"max_retries": 0}) as connection:
                connection.connect()
                return bool(connection.connected)
        except (OSError, kombu.exceptions.KombuError):
            return False
