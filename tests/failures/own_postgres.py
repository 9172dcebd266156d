"""A Postgres of the test's own under the whole service, to be stopped, refilled and cut without touching other tests.

Durable, unlike the one for tests: what it has committed must survive its sudden end. The test's ORM is led there too.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import environ
import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from local.folder import Folder
from local.postgres import Postgres
from local.seed import seed_demo
from tests.support.service import Service

DATABASE = "orders"


@pytest.fixture
def own_postgres(service: Service) -> Iterator[Postgres]:
    """The service's database, on a server that may be ended; its folder is kept from run to run, its rows are not."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    server = Postgres(Folder(service.stack.folder.path.parent / f"own-postgres-{worker}"), durable=True)
    server.start()
    try:
        server.drop_database(DATABASE)
        server.create_database(DATABASE)
        with _led_to(server.url(DATABASE)):
            call_command("migrate", verbosity=0)
            service.tokens = seed_demo(service.stack.folder)["tokens"]
            cast(dict[str, str], service.stack.environment)["DATABASE_URL"] = server.url(DATABASE)
            yield server
            service.stack.kill()
    finally:
        server.end()


def stop_at_once(server: Postgres) -> None:
    """As `pg_ctl stop -m immediate`: no session is told, nothing is written out; the next start recovers."""
    assert server.program is not None
    assert server.program.process is not None
    server.program.process.send_signal(signal.SIGQUIT)
    server.program.process.wait(30)
    connection.close()


def terminate_backends(server: Postgres) -> int:
    """Ends every session of the service, as an administrator does; returns how many there were."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        ended = session.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", [DATABASE]
        ).fetchone()
    connection.close()
    assert ended is not None
    return int(ended[0])


@contextmanager
def no_connection_left(server: Postgres) -> Iterator[None]:
    """Somebody holds every connection that the server gives; the service's own are ended and taken too."""
    held: list[psycopg.Connection] = []
    url = server.url("postgres")
    try:
        held.append(psycopg.connect(url, autocommit=True))
        _take_all(url, held)
        held[0].execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [DATABASE])
        connection.close()
        _take_all(url, held)
        yield
    finally:
        for session in held:
            session.close()


def _take_all(url: str, held: list[psycopg.Connection]) -> None:
    refused = 0
    # What is being given back may be refused at first and had a moment later: ask until nothing more comes.
    while refused < 20:
        try:
            held.append(psycopg.connect(url, autocommit=True))
        except psycopg.OperationalError:
            refused += 1


@contextmanager
def _led_to(url: str) -> Iterator[None]:
    settings = connection.settings_dict
    before = dict(settings)
    connection.close()
    settings.update({name: value for name, value in environ.Env.db_url_config(url).items() if name != "ENGINE"})
    try:
        yield
    finally:
        connection.close()
        settings.update(before)
