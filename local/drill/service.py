"""The service under a drill: its processes, two of a kind where that is possible, and the wires that can be cut.

Guarantees that every setting that names a server, a provider or a channel is the drill's own, whatever `.env` says: no
real provider is called and no mail is sent. Not guaranteed: that a process lives; the drill kills them, and `revive`
starts again what ended meanwhile.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import psutil
import psycopg
import requests

from local import run_file
from local.drill.counters import Rows
from local.drill.ground import Ground
from local.errors import StartFailed
from local.folder import PROJECT_DIR, Folder
from local.program import Program
from local.proxy import Proxy
from local.stack import Stack

NAMES = ("sandbox", "web", "relay", "relay-2", "worker", "worker-2", "remote-worker", "remote-worker-2", "beat")
WORKERS = ("worker", "worker-2", "remote-worker", "remote-worker-2")
# As short as the system checks allow: a claim is longer than Celery's limits, and than a call and five seconds more.
CLAIM_SECONDS = 15.0
REMOTE_CLAIM_SECONDS = 15.5
REVIVE_PAUSE_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.5
# More of them starting at once would leave the processors to nobody else.
STARTING_MAX = 2
NEVER = float("inf")
# The others show by a heartbeat that they live.
ANSWERS = {"web": "/health/live", "sandbox": "/health"}
HEARTBEATS = "SELECT process, extract(epoch FROM statement_timestamp() - seen_at) FROM outbox_heartbeat"


@dataclass
class Wires:
    """The proxies, each between some processes and one server. The other processes are connected directly."""

    web_to_postgres: Proxy
    workers_to_postgres: Proxy
    workers_to_broker: Proxy
    workers_to_providers: Proxy

    def named(self, name: str) -> Proxy:
        """By the words that the schedule uses."""
        return {
            "web to Postgres": self.web_to_postgres,
            "workers to Postgres": self.workers_to_postgres,
            "workers to the broker": self.workers_to_broker,
            "workers to the providers": self.workers_to_providers,
        }[name]

    def all(self) -> tuple[Proxy, ...]:
        return self.web_to_postgres, self.workers_to_postgres, self.workers_to_broker, self.workers_to_providers


@dataclass
class Service:
    """What the drill does to the processes."""

    folder: Folder
    ground: Ground
    rows: Rows
    stack: Stack
    wires: Wires
    environment: dict[str, str]
    # Processes that are meant to be down, or frozen, for the moment.
    held: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    revived: int = 0
    _started_at: dict[str, float] = field(default_factory=dict)
    _ready: set[str] = field(default_factory=set)
    _looked_at: float = 0.0

    def start(self, *names: str) -> None:
        for name in names:
            self.stack.start(name, environment=self._wired(name))

    def start_again(self, name: str) -> None:
        """As a supervisor does: without asking whether Postgres is there."""
        program = self.stack.programs[name]
        if not program.is_running:
            program.start()
            self._ready.discard(name)
            self._started_at[name] = time.monotonic()

    def is_ready(self, name: str) -> bool:
        """It runs, and has said so since its latest start. One that was ready stays so until it ends."""
        return name in self._ready and self.stack.programs[name].is_running

    @property
    def has_breath(self) -> bool:
        """Not too many of its processes are on their way back."""
        return sum(not self.is_ready(name) for name in self.stack.programs) <= STARTING_MAX

    @property
    def is_well(self) -> bool:
        return all(self.is_ready(name) for name in self.stack.programs)

    def look(self) -> None:
        """Starts again what ended by itself, and finds out who is ready; to be called a few times a second."""
        self.revive()
        if time.monotonic() - self._looked_at < LOOK_EVERY_SECONDS:
            return
        self._looked_at = time.monotonic()
        waiting = [name for name in self.stack.programs if not self.is_ready(name)]
        alive = self._alive() if waiting else {}
        for name in waiting:
            since_start = time.monotonic() - self._started_at.get(name, 0.0)
            path = ANSWERS.get(name)
            answers = _answers(self._address(name) + path) if path else alive.get(name, NEVER) < since_start
            if answers and self.stack.programs[name].is_running:
                self._ready.add(name)

    def _address(self, name: str) -> str:
        return self.stack.base_url if name == "web" else self.stack.sandbox_url

    def _alive(self) -> dict[str, float]:
        """By process, the seconds since its heartbeat; by the database's clock."""
        try:
            found = self.rows.ask(HEARTBEATS)
        except psycopg.Error:
            return {}
        return {process.partition("@")[0]: float(age) for process, age in found}

    def kill(self, name: str) -> int | None:
        """SIGKILL to the whole group; returns the process id if it was alive."""
        program = self.stack.programs[name]
        pid = program.pid if program.is_running else None
        self.stack.kill(name)
        self._ready.discard(name)
        return pid

    def kill_one(self, name: str, *, choice: int) -> int | None:
        """SIGKILL to one of its children; returns which one, None when it has none."""
        children = self._children(name)
        if not children:
            return None
        chosen = children[choice % len(children)]
        try:
            chosen.kill()
            chosen.wait(timeout=5)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            return None
        return int(chosen.pid)

    def freeze(self, name: str) -> bool:
        return self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> bool:
        return self._signal(name, signal.SIGCONT)

    def revive(self) -> None:
        """Starts what ended by itself, unhurriedly: a process that met no database, for example."""
        for name, program in self.stack.programs.items():
            rested = time.monotonic() - self._started_at.get(name, 0.0) > REVIVE_PAUSE_SECONDS
            if not program.is_running and name not in self.held and rested:
                self.start_again(name)
                self.revived += 1

    def manage(self, *arguments: str) -> Program:
        """Runs a command of manage.py to its end, with the service's own settings."""
        program = Program(
            name=arguments[0],
            command=[sys.executable, str(PROJECT_DIR / "manage.py"), *arguments],
            log=self.folder.path / "logs" / f"{arguments[0]}.log",
            environment={**self.environment, "PROCESS_NAME": arguments[0]},
            directory=PROJECT_DIR,
        )
        program.run_to_end()
        return program

    def insist_on(self, *arguments: str) -> None:
        program = self.manage(*arguments)
        if program.process is None or program.process.returncode:
            raise StartFailed(f"`manage.py {arguments[0]}` failed; its log is {program.log}.")

    def _children(self, name: str) -> list[psutil.Process]:
        pid = self.stack.programs[name].pid
        try:
            return sorted(psutil.Process(pid).children(), key=lambda child: child.pid) if pid else []
        except psutil.NoSuchProcess:
            return []

    def _signal(self, name: str, number: signal.Signals) -> bool:
        program = self.stack.programs[name]
        if not program.is_running or program.pid is None:
            return False
        os.killpg(program.pid, number)
        return True

    def _wired(self, name: str) -> Mapping[str, str]:
        """`web`, `worker` and `remote-worker` go through the proxies; their twins and the rest do not."""
        direct = self.environment
        if name == "web":
            return {"DATABASE_URL": self.wires.web_to_postgres.url(direct["DATABASE_URL"])}
        if name not in {"worker", "remote-worker"}:
            return {}
        return {
            "DATABASE_URL": self.wires.workers_to_postgres.url(direct["DATABASE_URL"]),
            "CELERY_BROKER_URL": self.wires.workers_to_broker.url(direct["CELERY_BROKER_URL"]),
            "SANDBOX_URL": self.wires.workers_to_providers.url(direct["SANDBOX_URL"]),
        }


def prepare(folder: Folder, ground: Ground, ending: ExitStack) -> Service:
    """Everything but the processes: folders, settings, proxies, tables, users. Raises LocalError."""
    for name in ("metrics", "sandbox", "logs"):
        shutil.rmtree(folder.path / name, ignore_errors=True)
        (folder.path / name).mkdir()
    environment: dict[str, str] = {}
    stack = Stack(folder, environment)
    environment |= _environment(folder, ground, stack)
    wires = Wires(
        web_to_postgres=_proxy(ground.database_url, ending),
        workers_to_postgres=_proxy(ground.database_url, ending),
        workers_to_broker=_proxy(ground.broker.url(), ending),
        workers_to_providers=_proxy(stack.sandbox_url, ending),
    )
    rows = Rows(ground.database_url)
    service = Service(folder=folder, ground=ground, rows=rows, stack=stack, wires=wires, environment=environment)
    ending.callback(stack.kill)  # nothing of a drill is worth an orderly end
    service.insist_on("migrate", "--no-input", "--verbosity", "0")
    service.insist_on("seed_demo", "--verbosity", "0")
    return service


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


def _proxy(url: str, ending: ExitStack) -> Proxy:
    proxy = Proxy.before(url)
    ending.callback(proxy.end)
    return proxy


def _environment(folder: Folder, ground: Ground, stack: Stack) -> dict[str, str]:
    return {
        "DATABASE_URL": ground.database_url,
        "CELERY_BROKER_URL": ground.broker.url(),
        "THROTTLE_REDIS_URL": "",
        "SANDBOX_URL": stack.sandbox_url,
        "WEBHOOK_URL": f"{stack.base_url}/webhooks/payments",
        # Whatever .env names for real: a drill calls the sandbox and prints its mails into a log.
        "PAYMENT_GATEWAY": "payments.gateways.sandbox.SandboxGateway",
        "PAYMENT_API_KEY": "sandbox-key",
        "PAYMENT_WEBHOOK_SECRET": "sandbox-webhook-secret",
        "CARRIER": "shipping.carriers.sandbox.SandboxCarrier",
        "CARRIER_API_KEY": "sandbox-key",
        "NOTIFICATION_CHANNEL": "notifications.channels.email.EmailChannel",
        "EMAIL_URL": "dummymail://",
        "OUTBOX_CONSOLE": "0",
        "DEBUG": "0",
        "LOCAL_TOOLS": "1",
        "HTTPS_ONLY": "0",
        "SECRET_KEY": run_file.secret_key(folder),
        "THROTTLE_REQUESTS_PER_MINUTE": "0",
        "PROMETHEUS_MULTIPROC_DIR": str(folder.path / "metrics"),
        "ORDERS_LOCAL_DIR": str(folder.path),
        "LOG_LEVEL": "WARNING",
        "WEB_WORKERS": "2",
        "WEB_THREADS": "16",
        "WORKER_SLOTS": "4",
        "REMOTE_WORKER_COUNT": "2",
        "OUTBOX_CLAIM_SECONDS": f"{CLAIM_SECONDS:g}",
        "OUTBOX_REMOTE_CLAIM_SECONDS": f"{REMOTE_CLAIM_SECONDS:g}",
        "OUTBOX_BACKOFF_BASE_SECONDS": "0.5",
        "OUTBOX_BACKOFF_CAP_SECONDS": "5",
        "PROVIDER_TOTAL_DEADLINE_SECONDS": "10",
        "PROVIDER_IN_FLIGHT_HORIZON_SECONDS": "12",
        "PROVIDER_BREAKER_OPEN_SECONDS": "2",
    }
