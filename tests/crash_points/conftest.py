"""One stage per test module and test worker: a database of its own that nobody flushes, and processes that stay."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings
from psycopg import sql

from providers.gate import gate

from .stage import SHORT_WAITS, Stage, open_stage


@pytest.fixture(scope="module")
def stage(django_db_blocker: Any) -> Iterator[Stage]:
    """A running service; the orders of one point after the other."""
    name = f"crash_points_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    with django_db_blocker.unblock(), _own_database(name):
        opened = open_stage()
        try:
            with _as_the_processes():
                yield opened
            # After every point of this module: nothing may be wrong in any book, and nothing under way.
            assert not (found := opened.audit()), found
        finally:
            opened.end()


@contextmanager
def _as_the_processes() -> Iterator[None]:
    """What this process asks (the audit, a person's verbs) knows the destination outside and the short horizon."""
    outside = {**settings.OUTBOX, "DESTINATIONS": {"ledger": {"BACKEND": "tests.support.ledger_file.LedgerFile"}}}
    horizon = {"IN_FLIGHT_HORIZON_SECONDS": float(SHORT_WAITS["PROVIDER_IN_FLIGHT_HORIZON_SECONDS"])}
    limits = {provider: {**given, **horizon} for provider, given in settings.PROVIDERS.items()}
    gate.cache_clear()
    with override_settings(OUTBOX=outside, PROVIDERS=limits):
        yield
    gate.cache_clear()


@contextmanager
def _own_database(name: str) -> Iterator[None]:
    """This process's connections lead to a new database with every table, until the end."""
    places = connection.settings_dict
    usual = places["NAME"]
    _recreate(name)
    connections.close_all()
    places["NAME"] = name
    try:
        call_command("migrate", interactive=False, verbosity=0)
        yield
    finally:
        connections.close_all()
        places["NAME"] = usual
        _drop(name)


def _recreate(name: str) -> None:
    _drop(name)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _drop(name: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
