"""/metrics: who may read it, many processes added up, backlog at scrape time."""

import os
import subprocess
import sys

import psycopg
import pytest
from django.db import OperationalError
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from orders_project import metrics

pytestmark = pytest.mark.django_db


def backlog(monkeypatch, **collectors):
    monkeypatch.setattr(metrics, "_collectors", lambda: iter(collectors.items()))


def fail():
    raise OSError("no database")


def samples(content: bytes) -> dict[str, float]:
    families = text_string_to_metric_families(content.decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_loopback_may_read_and_nobody_else(client):
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="::1").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.1").status_code == 403
    assert client.get("/metrics", REMOTE_ADDR="unix:").status_code == 403


def test_what_a_proxy_on_loopback_forwards_is_not_loopback(client):
    assert client.get("/metrics", headers={"x-forwarded-for": "10.0.0.1"}).status_code == 403


@pytest.mark.parametrize(
    ("header", "status"),
    [("Bearer scrape-token", 200), ("Bearer wrong", 403), ("scrape-token", 403), ("", 403), ("Bearer ü", 403)],
)
def test_with_a_token_only_its_bearer_may_read(client, settings, header, status):
    settings.METRICS_TOKEN = "scrape-token"
    assert client.get("/metrics", headers={"authorization": header}).status_code == status


def test_every_app_that_has_figures_is_asked(client):
    response = client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name for family in text_string_to_metric_families(response.content.decode())}
    assert {"http_request_seconds", "outbox_pending", "breaker_state"} <= families


def test_an_app_that_cannot_be_read_is_counted_and_costs_the_others_nothing(client, monkeypatch):
    backlog(monkeypatch, broken=fail, well=lambda: [GaugeMetricFamily("a_backlog", "x", value=7)])
    response = client.get("/metrics")
    assert response.status_code == 200
    assert samples(response.content)["a_backlog"] == 7
    assert 'metrics_collection_failures_total{app="broken"} 1.0' in response.content.decode()


def test_a_database_that_is_away_is_waited_for_once_in_a_scrape(client, monkeypatch):
    """F5: each app would wait as long for a connection; a scraper has given up by then."""
    asked = []

    def unreachable():
        asked.append(1)
        raise OperationalError("couldn't get a connection after 5.00 sec")

    backlog(monkeypatch, first=unreachable, second=unreachable)
    page = client.get("/metrics").content.decode()

    assert len(asked) == 1
    assert 'metrics_collection_failures_total{app="first"} 1.0' in page
    assert 'metrics_collection_failures_total{app="second"} 1.0' in page


def test_a_query_that_the_database_ended_costs_its_own_app_only(client, monkeypatch):
    def too_long():
        raise OperationalError from psycopg.errors.QueryCanceled()

    backlog(monkeypatch, slow=too_long, well=lambda: [GaugeMetricFamily("a_backlog", "x", value=7)])

    assert samples(client.get("/metrics").content)["a_backlog"] == 7


def test_counters_of_many_processes_are_added_and_the_gauges_of_a_dead_one_forgotten(tmp_path, monkeypatch):
    program = (
        "import sys, prometheus_client as p; "
        "p.Counter('a_total', 'x').inc(3); "
        "p.Gauge('a_gauge', 'x', multiprocess_mode='livesum').set(5); "
        "print(flush=True); sys.stdin.read()"
    )
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    backlog(monkeypatch)
    first, second = (
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    )
    try:
        assert first.stdout.readline() == second.stdout.readline() == b"\n"
        assert samples(metrics.exposition()) == {"a_total": 6.0, "a_gauge": 10.0}
        first.kill()
        first.communicate()
        assert samples(metrics.exposition()) == {"a_total": 6.0, "a_gauge": 5.0}
    finally:
        second.kill()
        second.communicate()


def test_who_was_killed_is_forgotten_at_the_next_scrape_and_who_lives_is_not(tmp_path, monkeypatch):
    """Nobody is told of a SIGKILL; a count has happened, whoever lives."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid(), 1):
        for kind in ("gauge_livemostrecent", "gauge_liveall", "counter"):
            (tmp_path / f"{kind}_{pid}.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    metrics.forget_ended()

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"counter_{dead.pid}.db"} | {
        f"{kind}_{pid}.db" for kind in ("gauge_livemostrecent", "gauge_liveall", "counter") for pid in (os.getpid(), 1)
    }


def test_without_a_directory_there_is_nothing_to_forget(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics.forget_process(1)
    metrics.forget_ended()
