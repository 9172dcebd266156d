"""Health: live needs nothing, ready needs Postgres and its migrations, figures decide nothing."""

import pytest
from django.db import OperationalError

from orders_project import health
from orders_project.health import Readiness


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> Readiness:
    readiness = Readiness()
    monkeypatch.setattr(health, "readiness", readiness)
    return readiness


def refuse(*_, **__):
    raise OperationalError("connection refused")


@pytest.mark.parametrize("path", ["/health/live", "/healthz"])
def test_live_needs_no_database_and_no_login(client, path):
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health/ready", "/readyz"])
def test_ready_needs_no_login(client, path):
    response = client.get(path)
    assert (response.status_code, response.json()["status"]) == (200, "ok")


@pytest.mark.django_db
def test_a_dead_database_is_not_ready(client, monkeypatch):
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", refuse)
    response = client.get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "unavailable", "reason": "database unreachable"})
    assert response.headers["Retry-After"] == "1"


@pytest.mark.django_db
def test_a_missing_migration_is_not_ready_until_it_is_applied(client, monkeypatch):
    missing = [True, True, False]
    monkeypatch.setattr(health, "_unapplied_migrations", lambda: missing.pop(0))
    assert [client.get("/health/ready").status_code for _ in range(4)] == [503, 503, 200, 200]
    # Applied once is applied for good: the fourth probe did not ask.
    assert missing == []


@pytest.mark.django_db
def test_ready_knows_nothing_of_the_broker(client, monkeypatch, settings):
    settings.CELERY_BROKER_URL = settings.THROTTLE_REDIS_URL = "redis://127.0.0.1:1/0"
    assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
def test_a_figure_that_cannot_be_read_is_unknown_and_decides_nothing(client, monkeypatch):
    measures = [("outbox", lambda: {"lag_seconds": 1}), ("sagas", refuse)]
    monkeypatch.setattr(health, "_told_by", lambda name: iter(measures))
    response = client.get("/health/ready")
    assert (response.status_code, response.json()) == (
        200,
        {"status": "ok", "outbox": {"lag_seconds": 1}, "sagas": "unknown"},
    )


def test_figures_are_read_once_for_many_probes(fresh, monkeypatch):
    reads = iter(range(1, 10))
    monkeypatch.setattr(health, "_told_by", lambda name: iter([("outbox", lambda: {"read": next(reads)})]))
    assert [fresh.figures() for _ in range(5)] == [{"outbox": {"read": 1}}] * 5
    fresh._figures_until = 0.0
    assert fresh.figures() == {"outbox": {"read": 2}}
