"""The servers under a drill: Postgres and a broker of its own, which may be killed, wiped and started again.

Guarantees that both listen on loopback, keep their ports over a restart, and end with the drill. The broker is always
the drill's own; Postgres may be another, marked one, and is then never restarted.
"""

import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import kombu
import redis

from local import rabbitmq
from local.drill import mark
from local.errors import ServerMissing, StartFailed
from local.folder import Folder
from local.postgres import Postgres
from local.rabbitmq import RabbitMQ
from local.valkey import Valkey

DATABASE = "orders_drill"
QUEUES = ("ticks", "default", "steps", "payments", "shipping", "notifications")
BROKER_SECONDS = 60.0


class Broker(Protocol):
    """Valkey and RabbitMQ, as the drill treats them."""

    def start(self) -> None: ...
    def end(self) -> None: ...
    def url(self) -> str: ...
    def wipe(self) -> int:
        """Makes it forget what it carries; returns how many messages that were."""
        ...

    def restart(self) -> int:
        """SIGKILL, and a new start; returns how many messages were lost with it."""
        ...


class ValkeyBroker:
    """Keeps nothing on disk, so a restart loses as much as a wipe."""

    def __init__(self, folder: Folder) -> None:
        self.server = Valkey(folder)

    def start(self) -> None:
        self.server.start()

    def end(self) -> None:
        self.server.end()

    def url(self) -> str:
        return self.server.url()

    def wipe(self) -> int:
        with redis.Redis.from_url(self.url(), socket_timeout=5) as client:
            lost = _waiting(client)
            client.flushall()
        return lost

    def restart(self) -> int:
        with redis.Redis.from_url(self.url(), socket_timeout=5) as client:
            lost = _waiting(client)
        port, program = self.server.port, self.server.program
        if program:
            program.kill()
        self.server.start()
        _insist_on_port("Valkey", self.server.port, port)
        return lost


class RabbitBroker:
    """Its queues are on disk: a restart loses little, a purge of every queue is its wipe."""

    def __init__(self, folder: Folder) -> None:
        self.server = RabbitMQ(folder)

    def start(self) -> None:
        if rabbitmq.find() is None:
            raise ServerMissing(
                "BROKER=amqp needs RabbitMQ, and rabbitmq-server is not installed "
                "(Debian: apt install rabbitmq-server); BROKER=redis needs nothing."
            )
        self.server.start()

    def end(self) -> None:
        self.server.end()

    def url(self) -> str:
        return self.server.url()

    def wipe(self) -> int:
        with kombu.Connection(self.url(), connect_timeout=5) as connection:
            return sum(_purge(connection, queue) for queue in QUEUES)

    def restart(self) -> int:
        node = self.server.programs[-1]
        node.kill()
        node.start()
        deadline = time.monotonic() + BROKER_SECONDS
        while not self._answers():
            if not node.is_running or time.monotonic() > deadline:
                raise StartFailed(f"RabbitMQ did not come back; its log is {node.log}.")
            time.sleep(0.2)
        return 0

    def _answers(self) -> bool:
        try:
            with kombu.Connection(self.url(), connect_timeout=2, transport_options={"max_retries": 0}) as connection:
                connection.connect()
                return bool(connection.connected)
        except (OSError, kombu.exceptions.KombuError):
            return False


@dataclass
class Ground:
    """What the service stands on during one drill."""

    database_url: str
    broker: Broker
    postgres: Postgres | None

    def restart_postgres(self) -> None:
        """As after a power cut: no session ends in order, and what had not been committed has not happened."""
        if self.postgres is None or self.postgres.program is None or self.postgres.program.process is None:
            raise StartFailed("This Postgres is not the drill's own and is not restarted.")
        port, process = self.postgres.port, self.postgres.program.process
        process.send_signal(signal.SIGQUIT)
        process.wait()
        self.postgres.start()
        _insist_on_port("Postgres", self.postgres.port, port)


def prepare(folder: Folder, ending: ExitStack, *, broker: str, database_url: str) -> Ground:
    """Starts what is needed; the database is empty and marked afterwards. Raises LocalError."""
    chosen: Broker = RabbitBroker(folder) if broker == "amqp" else ValkeyBroker(folder)
    if database_url:
        mark.empty(database_url)
        postgres = None
    else:
        postgres = Postgres(folder, durable=True)
        ending.callback(postgres.end)
        postgres.start()
        postgres.drop_database(DATABASE)
        postgres.create_database(DATABASE)
        database_url = postgres.url(DATABASE)
        mark.put(database_url)
    ending.callback(chosen.end)
    chosen.start()
    return Ground(database_url=database_url, broker=chosen, postgres=postgres)


def _waiting(client: redis.Redis) -> int:
    return sum(int(client.llen(queue)) for queue in QUEUES)


def _purge(connection: kombu.Connection, queue: str) -> int:
    with connection.channel() as channel:
        try:
            return int(kombu.Queue(queue).bind(channel).purge() or 0)
        except connection.channel_errors:  # nobody has declared it yet
            return 0


def _insist_on_port(name: str, port: int, before: int) -> None:
    if port != before:
        raise StartFailed(f"{name} came back on port {port} instead of {before}: another program has taken it.")
