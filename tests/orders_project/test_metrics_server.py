"""METRICS_BIND: processes that serve nothing else are scraped on an address of their own, which they share."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from django.db import connection

from local.folder import PROJECT_DIR
from local.ports import any_free
from local.stack import wait_until
from orders_project import metrics, metrics_server
from outbox import heartbeat

SERVE = """
import sys, django
django.setup()
from orders_project import metrics_server
from orders_project.telemetry import METRICS_COLLECTION_FAILURES
METRICS_COLLECTION_FAILURES.labels(sys.argv[1]).inc()
metrics_server.start()
print("serves", flush=True)
sys.stdin.read()
"""


def ask(port, path="/metrics", method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["Content-Type"], refused.read().decode()


@pytest.fixture
def bind(settings):
    settings.METRICS_BIND = f"127.0.0.1:{any_free()}"
    return urlsplit(f"//{settings.METRICS_BIND}").port


@pytest.mark.django_db(transaction=True)
def test_a_scrape_gets_what_the_web_would_answer_and_no_token_is_asked_for(bind, settings):
    settings.METRICS_TOKEN = "for-the-web-only"
    metrics_server.start()

    status, content_type, page = ask(bind)

    assert (status, content_type.startswith("text/plain; version=0.0.4")) == (200, True)
    assert {"outbox_pending", "breaker_state", "http_request_seconds"} <= {
        line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")
    }


def test_nothing_else_is_served_there(bind, monkeypatch):
    monkeypatch.setattr(metrics, "exposition", lambda: b"a 1\n")
    metrics_server.start()

    assert ask(bind, "/admin/")[0] == 404
    assert ask(bind, method="POST")[0] == 501
    assert ask(bind, "/metrics?debug=1")[::2] == (200, "a 1\n")


def test_a_scrape_that_fails_is_a_500_and_the_next_one_is_answered(bind, monkeypatch):
    answers = iter([OSError("no such folder"), b"a 1\n"])

    def exposition():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(metrics, "exposition", exposition)
    metrics_server.start()

    assert [ask(bind)[0] for _ in range(2)] == [500, 200]


@pytest.mark.parametrize("bind", ["", "127.0.0.1", "localhost:9100/metrics", "192.0.2.1:9100", "127.0.0.1:70000"])
def test_an_address_that_cannot_be_had_ends_no_process(settings, bind):
    settings.METRICS_BIND = bind

    metrics_server.start()


@pytest.mark.parametrize(
    ("bind", "place"),
    [("127.0.0.1:9100", ("127.0.0.1", 9100)), (":9100", ("", 9100)), ("[::1]:9100", ("::1", 9100))],
)
def test_an_address_is_a_host_and_a_port(bind, place):
    assert metrics_server.parse(bind) == place


def test_every_process_that_beats_serves_its_metrics(monkeypatch):
    began = []
    monkeypatch.setattr(heartbeat, "_run", lambda kind: None)
    assert heartbeat._beside == [metrics_server.start]
    monkeypatch.setattr(heartbeat, "_beside", [])
    heartbeat.beside(lambda: began.append("metrics"))

    heartbeat.start("relay")

    assert began == ["metrics"]


@pytest.mark.django_db
def test_processes_share_the_address_and_each_answers_for_all_that_ever_counted(tmp_path):
    """One is killed without a word: what it counted stays, and the other goes on answering."""
    port = any_free()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "orders_project.settings",
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])
        ._replace(path=f"/{connection.settings_dict['NAME']}")
        .geturl(),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "METRICS_BIND": f"127.0.0.1:{port}",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SERVE, name],
            env=environment,
            cwd=PROJECT_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("first", "second")
    ]
    try:
        assert [process.stdout.readline() for process in processes] == [b"serves\n"] * 2
        pages = [ask(port)[2] for _ in range(8)]
        processes[0].kill()
        processes[0].wait()
        wait_until(lambda: ask(port)[0] == 200, within_seconds=10, what="the second one answers")
        pages.append(ask(port)[2])
    finally:
        for process in processes:
            process.kill()
            process.communicate()

    counted = [f'metrics_collection_failures_total{{app="{name}"}} 1.0' for name in ("first", "second")]
    assert [all(line in page for line in counted) for page in pages] == [True] * 9
