"""The spans of a test: tracing is on for it, and what ended is kept in memory."""

from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import orders_project.tracing
import outbox.tracing
import providers.tracing

MODULES = (outbox.tracing, providers.tracing, orders_project.tracing)


@dataclass
class Spans:
    """What a test asks of the spans that have ended, in the order in which they began."""

    exporter: InMemorySpanExporter

    def all(self) -> list[ReadableSpan]:
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        return next((one for one in self.all() if span.parent and one.context.span_id == span.parent.span_id), None)

    def linked(self, span: ReadableSpan) -> list[ReadableSpan]:
        """The spans that it links to, in its order."""
        by_id = {one.context.span_id: one for one in self.all()}
        return [by_id[link.context.span_id] for link in span.links]

    def path(self, span: ReadableSpan) -> list[str]:
        """From the root of its trace down to it."""
        above = self.parent(span)
        return [*(self.path(above) if above else []), span.name]

    def forget(self) -> None:
        self.exporter.clear()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """Each module's tracer is replaced: OpenTelemetry's own provider can be set once per process, for good."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for module in MODULES:
        monkeypatch.setattr(module, "tracer", provider.get_tracer("test"))
    monkeypatch.setattr(outbox.tracing, "is_on", lambda: True)
    return Spans(exporter)
