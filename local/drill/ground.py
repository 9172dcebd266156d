"""The servers under a drill: Postgres and a broker of its own, which may be killed, wiped and started again.

Guarantees that both listen on loopback, keep their ports over a restart, and end with the drill. The broker is always
the drill's own; Postgres may be another, marked one, and is then never restarted.
"""

import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

import kombu
import psycopg
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
ANSWER_SECONDS = 120.0
DOWN_SECONDS = 0.5
START_TRIES = 3


class Broker(Protocol):
    """Valkey and RabbitMQ, as the drill treats them."""

    def start(self) -> None: ...
    def end(self) -> None: ...
    def url(self) -> str: ...
    def wipe(self) -> int:
        """Makes it forget what it carries; returns how many messages that were."""
        ...

    def restart(self) -> Generator[float, None, int]:
        """SIGKILL, and a new start; yields while it waits, returns how many messages were lost with it."""
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

    def restart(self) -> Generator[float, None, int]:
        with redis.Redis.from_url(self.url(), socket_timeout=5) as client:
            lost = _waiting(client)
        program = self.server.program
        if program is None:
            raise StartFailed("Valkey was never started.")
        program.kill()
        yield DOWN_SECONDS
        program.start()
        yield from _until(self._answers, within_seconds=ANSWER_SECONDS, what="Valkey's answer")
        return lost

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


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
        # Queues of an earlier drill, of earlier code, would be refused.
        shutil.rmtree(self.server.folder.path / "rabbitmq-data", ignore_errors=True)
        for _ in range(START_TRIES - 1):
            try:
                self.server.start()
            except StartFailed:  # a busy machine takes longer than a minute; the next try finds half of it done
                continue
            return
        self.server.start()

    def end(self) -> None:
        self.server.end()

    def url(self) -> str:
        return self.server.url()

    def wipe(self) -> int:
        with kombu.Connection(self.url(), connect_timeout=5) as connection:
            return sum(_purge(connection, queue) for queue in QUEUES)

    def restart(self) -> Generator[float, None, int]:
        node = self.server.programs[-1]
        node.kill()
        yield DOWN_SECONDS
        node.start()
        yield from _until(self._answers, within_seconds=ANSWER_SECONDS, what="RabbitMQ's answer")
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

    def restart_postgres(self) -> Iterator[float]:
        """As after a power cut: no session ends in order, and what had not been committed has not happened.

        Yields for how long there is nothing to do; ends when it answers again. Raises StartFailed.
        """
        program = self.postgres.program if self.postgres else None
        if program is None or program.process is None:
            raise StartFailed("This Postgres is not the drill's own and is not restarted.")
        program.process.send_signal(signal.SIGQUIT)
        yield from _until(lambda: not program.is_running, within_seconds=ANSWER_SECONDS, what="Postgres' end")
        program.start()
        yield from _until(self.postgres_answers, within_seconds=ANSWER_SECONDS, what="Postgres' answer")

    def postgres_answers(self) -> bool:
        try:
            psycopg.connect(self.database_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


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
        _recover_fast(database_url)
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


def _until(happened: Callable[[], bool], *, within_seconds: float, what: str) -> Iterator[float]:
    deadline = time.monotonic() + within_seconds
    while not happened():
        if time.monotonic() > deadline:
            raise StartFailed(f"{what} did not come within {within_seconds:g} s.")
        yield 0.2


def _recover_fast(database_url: str) -> None:
    """After a crash Postgres syncs each file of its folder first, ten seconds on a slow disk: one call does as well."""
    with psycopg.connect(database_url, autocommit=True) as connection, suppress(psycopg.Error):  # not on every system
        connection.execute("ALTER SYSTEM SET recovery_init_sync_method = 'syncfs'")
        connection.execute("SELECT pg_reload_conf()")
