"""Tracing as a process sets it up: off by default, by OTEL_* variables, anew in every forked process."""

import os
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from local.folder import PROJECT_DIR
from orders_project import tracing
from orders_project.trace_export import OTLPSpanExporter, Sender
from tests.support.otlp import collector

__all__ = ["collector"]

VARIABLES = (
    *("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
)
HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        (HERE, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({**HERE, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**HERE, "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_it_is_off_until_it_is_said_where_to_send_to(monkeypatch, environment, wanted):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert tracing.is_wanted() is wanted


def ran(script: str, **environment: str) -> str:
    """What a process of ours printed that ran this script with Django set up."""
    program = f"import django; django.setup()\n{script}"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "orders_project.settings", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return ended.stdout


def test_a_variable_that_the_sdk_cannot_read_costs_the_traces_and_nothing_else():
    script = (
        "from opentelemetry import trace\n"
        "for _ in range(2):\n"
        "    with trace.get_tracer('here').start_as_current_span('work') as span: print(span.is_recording())"
    )
    said = ran(script, **HERE, OTEL_EXPORTER_OTLP_TIMEOUT="10s")

    assert said.splitlines() == ["False", "False"]


def test_off_the_sdk_is_not_even_imported():
    loaded = "import sys; print([name for name in sys.modules if name.startswith('opentelemetry.sdk.trace')])"

    assert ran(loaded) == "[]\n"


FORKS = """
import os, threading
from opentelemetry import trace
from orders_project import tracing

def span(name):
    trace.get_tracer("test").start_span(name).end()

names = [thread.name for thread in threading.enumerate()]
assert len(names) == 1, names
span("before the fork")
if not (child := os.fork()):
    span("in the child")
    tracing.flush()
    span("after the end")
    os._exit(0)
os.waitpid(child, 0)
span("in the parent")
print(child)
"""


def test_a_forked_process_exports_its_own_spans_and_no_others(collector):
    child = ran(FORKS, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, PROCESS_NAME="worker-1").strip()

    received = {span.name: span for span in collector.spans()}
    assert sorted(received) == ["before the fork", "in the child", "in the parent"]
    assert len(collector.spans()) == 3
    assert {span.process for span in received.values()} == {"worker-1"}
    in_child = received["in the child"].instance
    assert in_child == f"worker-1-{child}"
    assert received["in the parent"].instance == received["before the fork"].instance != in_child


def test_what_nobody_knows_is_said_and_costs_nothing(collector):
    script = "from opentelemetry import trace\ntrace.get_tracer('test').start_span('kept').end()"
    ran(
        script,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        OTEL_TRACES_EXPORTER="otlp,zipkin",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_SERVICE_NAME="shop",
    )

    [kept] = collector.spans()
    assert (kept.name, kept.service) == ("kept", "shop")


def test_a_process_that_ends_tries_a_collector_that_does_not_answer_once(monkeypatch):
    tries = []
    monkeypatch.setattr(OTLPSpanExporter, "export", lambda self, spans: tries.append(spans) or SpanExportResult.FAILURE)
    sender = Sender(endpoint="http://127.0.0.1:1/v1/traces")
    sender.export(["while it works"])
    sender.export(["again"])
    sender.is_leaving = True

    assert sender.export(["the rest"]) is SpanExportResult.FAILURE
    assert tries == [["while it works"], ["again"]]
