"""Traces, by OpenTelemetry's own OTEL_* variables: off unless an exporter or an endpoint is named (docs/tracing.md).

Guarantee: every process that starts a span exports it, a forked worker too: the SDK's provider, with its thread and its
connection, is made by a process's first span and never inherited. What is queued when a process ends in order is sent.
Not guaranteed: spans of a process that is killed, or that a collector did not take.
"""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from outbox import tracing as messages

log = structlog.get_logger(__name__)

if TYPE_CHECKING:
    from orders_project.trace_export import Export

# Probes and scrapes come every few seconds, and no order begins there.
UNTRACED = ("/health", "/healthz", "/readyz", "/metrics", "/static/")

tracer = trace.get_tracer("orders.web")
_headers = TraceContextTextMapPropagator()


def configure() -> None:
    """Makes spans real in this process and those that it forks; nothing while tracing is off."""
    if is_wanted() and not messages.is_on():
        trace.set_tracer_provider(provider_of_processes)


def is_wanted() -> bool:
    """Off by default: an exporter must be named, or where to send to."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if exporters := os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower():
        return exporters != "none"
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def flush(**_: object) -> None:
    """Sends what is queued, once and for all; for ends that do not run `atexit`: a prefork worker's."""
    provider_of_processes.end()


class ProviderOfProcesses(trace.TracerProvider):
    """Stands for the SDK's provider, which is made by the first span of each process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._export: Export | None = None

    def get_tracer(self, instrumenting_module_name: str, *_: Any, **__: Any) -> trace.Tracer:
        return TracerOfProcesses(self, instrumenting_module_name)

    def tracer_of_this_process(self, name: str) -> trace.Tracer:
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._begin()
        export = self._export  # which the end of the process takes away meanwhile
        return export.tracer(name) if export else trace.NoOpTracer()

    def end(self) -> None:
        if self._export is not None and self._pid == os.getpid():
            self._export.end()
            # Whatever this process does from here on is not traced.
            self._export = None

    def _begin(self) -> None:
        # Imported when it is needed: a process that traces nothing does without the SDK.
        from orders_project.trace_export import Export

        self._pid, self._export = os.getpid(), None
        try:
            self._export = Export()
        except Exception as error:
            # A variable of the SDK's that it cannot read costs the traces, and neither an order nor a delivery.
            log.error("tracing.not_started", exc_info=error)
        else:
            atexit.register(self.end)


class TracerOfProcesses(trace.Tracer):
    """Asks the provider of the process that it is used in."""

    def __init__(self, provider: ProviderOfProcesses, name: str) -> None:
        self._provider = provider
        self._name = name

    def start_span(self, *arguments: Any, **named: Any) -> Span:
        return self._provider.tracer_of_this_process(self._name).start_span(*arguments, **named)

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # the decorator that the API wants is private to it
        self, *arguments: Any, **named: Any
    ) -> Iterator[Span]:
        with self._provider.tracer_of_this_process(self._name).start_as_current_span(*arguments, **named) as span:
            yield span


provider_of_processes = ProviderOfProcesses()


@contextmanager
def serving(request: HttpRequest) -> Iterator[Span]:
    """A SERVER span around one request, in the caller's trace when the request names one."""
    if not messages.is_on() or request.path.startswith(UNTRACED):
        yield trace.INVALID_SPAN
        return
    with tracer.start_as_current_span(
        str(request.method),
        context=_headers.extract({name: request.headers.get(name, "") for name in _headers.fields}, context=Context()),
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": str(request.method),
            "url.path": request.path,
            "url.scheme": str(request.scheme),
        },
    ) as span:
        yield span


def answered(span: Span, request: HttpRequest, response: HttpResponseBase, *, route: str, user_id: int | None) -> None:
    """What is known of a request when it has been answered; the span's name has no id in it."""
    if not span.is_recording():
        return
    span.update_name(f"{request.method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": response.status_code})
    span.set_attribute("idempotency.replay", response.headers.get("Idempotent-Replay") == "true")
    if user_id is not None:
        span.set_attribute("user.id", str(user_id))
    if response.status_code >= 500:
        span.set_attribute("error.type", str(response.status_code))
        span.set_status(Status(StatusCode.ERROR))
