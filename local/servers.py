"""Postgres and Valkey for one command, unless the environment names others."""

import os
from contextlib import ExitStack
from dataclasses import dataclass

import kombu
import psycopg

from local.errors import ServerUnreachable
from local.folder import Folder
from local.postgres import Postgres
from local.screen import one_line
from local.valkey import Valkey


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Where they listen; None for one that is somebody else's."""

    database_url: str
    broker_url: str
    postgres: Postgres | None
    valkey: Valkey | None


def start_servers(folder: Folder, ending: ExitStack, *, durable: bool) -> Servers:
    """Starts what `DATABASE_URL` and `CELERY_BROKER_URL` do not name; `ending` ends it. Raises LocalError."""
    database_url, postgres = os.environ.get("DATABASE_URL", ""), None
    if not database_url:
        postgres = Postgres(folder, durable=durable)
        ending.callback(postgres.end)
        postgres.start()
        postgres.create_database("orders")
        database_url = postgres.url("orders")
    else:
        _insist_on_answer(database_url)
    broker_url, valkey = os.environ.get("CELERY_BROKER_URL", ""), None
    if not broker_url:
        valkey = Valkey(folder)
        ending.callback(valkey.end)
        valkey.start()
        broker_url = valkey.url()
    else:
        _insist_on_broker(broker_url)
    return Servers(database_url=database_url, broker_url=broker_url, postgres=postgres, valkey=valkey)


def _insist_on_answer(database_url: str) -> None:
    """Told here in a sentence, rather than by the first command that needs it in a page."""
    try:
        psycopg.connect(database_url, connect_timeout=5).close()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise ServerUnreachable(f"The Postgres that DATABASE_URL names cannot be used: {reason}") from None


def _insist_on_broker(broker_url: str) -> None:
    """As for Postgres: workers would go on trying to connect, and say so only in their logs."""
    try:
        with kombu.Connection(broker_url, connect_timeout=5) as connection:
            connection.connect()
    except Exception as error:  # noqa: BLE001 - every transport has errors of its own, and a wrong URL is a KeyError
        raise ServerUnreachable(
            f"The broker that CELERY_BROKER_URL names cannot be used: {one_line(str(error))}"
        ) from None
