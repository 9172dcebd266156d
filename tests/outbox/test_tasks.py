"""The tasks' connection: looked after when it may be lost, and left alone while it serves one task after the other."""

from functools import partial

import pytest
from django.db import OperationalError, connection

from outbox import tasks
from tests.support.threads import in_thread


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_costs_one_task_and_a_busy_one_is_not_asked_whether_it_lives(monkeypatch):
    in_thread(partial(_serve_and_lose, monkeypatch)).result(30)


def _serve_and_lose(monkeypatch) -> None:
    """In a thread of its own, and so on a connection of its own."""
    asked: list[str] = []
    monkeypatch.setattr(tasks.periodic, "is_registered", lambda name: True)
    monkeypatch.setattr(tasks.periodic, "run", lambda name: connection.cursor().execute("SELECT 1"))
    usable = connection.is_usable
    monkeypatch.setattr(connection, "is_usable", lambda: asked.append("lives?") or usable())

    tasks.run_tick("first")
    tasks.run_tick("at once")
    assert asked == []

    monkeypatch.setattr(tasks, "TRUSTED_SECONDS", 0.0)
    tasks.run_tick("later")
    assert asked == ["lives?"]

    monkeypatch.setattr(tasks, "TRUSTED_SECONDS", 3600.0)
    connection.connection.close()
    with pytest.raises(OperationalError):
        tasks.run_tick("lost")
    tasks.run_tick("replaced")
    assert asked == ["lives?", "lives?"]
    connection.close()
