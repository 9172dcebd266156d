"""The OpenTelemetry SDK of one process: its provider, its exporters, its end. Imported by the first span only.

Guarantee: work never waits for a collector, and an orderly end waits for one that does not answer no longer than one
request may take. Not guaranteed: spans beyond the SDK's bounds (OTEL_BSP_MAX_QUEUE_SIZE), which drop the oldest.
"""

import os
from collections.abc import Mapping, Sequence

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult

# One request to the collector, its repetitions included. The SDK's own ten seconds are more than a process has to end.
EXPORT_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Export:
    """What a process that traces has: a provider whose spans go to the exporters that the environment names."""

    def __init__(self) -> None:
        self._exporters = _exporters()
        self._provider = TracerProvider(resource=Resource.create(_resource(os.environ)), shutdown_on_exit=False)
        for exporter in self._exporters:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))

    def tracer(self, name: str) -> trace.Tracer:
        return self._provider.get_tracer(name)

    def end(self) -> None:
        """Sends what is queued; after the first failure the rest is let go."""
        for exporter in self._exporters:
            if isinstance(exporter, Sender):
                exporter.is_leaving = True
        self._provider.shutdown()


class Sender(OTLPSpanExporter):
    """OTLP over HTTP; a process that ends tries a collector that does not answer no more than once."""

    is_leaving = False
    _has_failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.is_leaving and self._has_failed:
            return SpanExportResult.FAILURE
        result = super().export(spans)
        self._has_failed = result is not SpanExportResult.SUCCESS
        return result


def _exporters() -> list[SpanExporter]:
    """Those that are named; a name or a protocol that nobody knows costs a log line and no order."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in {None, "", "http/protobuf"}:
        log.warning("tracing.unknown_protocol", protocol=protocol, used="http/protobuf")
    named = (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")
    return [exporter for name in named if (exporter := _exporter(name.strip().lower()))]


def _exporter(name: str) -> SpanExporter | None:
    match name:
        case "otlp":
            return Sender(timeout=_timeout_seconds())
        case "console":
            return ConsoleSpanExporter()
    if name != "none":
        log.warning("tracing.unknown_exporter", exporter=name, known=["otlp", "console", "none"])
    return None


def _timeout_seconds() -> float:
    given = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") or os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT")
    return float(given) if given else EXPORT_SECONDS


def _resource(environment: Mapping[str, str]) -> dict[str, str | int]:
    """Beside OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME: one service, and which of its processes speaks."""
    name = environment.get("PROCESS_NAME", "orders")
    return {
        "service.name": environment.get("OTEL_SERVICE_NAME") or "orders",
        "service.instance.id": f"{name}-{os.getpid()}",
        "process.pid": os.getpid(),
    }
