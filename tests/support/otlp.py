"""A collector of the test's own: what real processes export over OTLP/HTTP, as spans that a test can ask."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

ERROR = trace_pb2.Status.STATUS_CODE_ERROR


@dataclass(frozen=True)
class Received:
    """One span: ids in hex, links by span id."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    attributes: Mapping[str, Any]
    is_error: bool
    service: str
    # The process's name with its id.
    instance: str

    @property
    def process(self) -> str:
        return self.instance.rpartition("-")[0]


class Collector:
    """Listens on loopback; everything that was received is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Received] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _answer_for(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, body: bytes) -> None:
        spans = list(_spans_of(ExportTraceServiceRequest.FromString(body)))
        with self._lock:
            self._spans += spans

    def spans(self, name: str | None = None) -> list[Received]:
        with self._lock:
            return [span for span in self._spans if name in {None, span.name}]

    def of_order(self, order_id: str) -> list[Received]:
        return [span for span in self.spans() if span.attributes.get("order.id") == order_id]

    def path(self, span: Received) -> list[str]:
        """From the root of its trace down to it."""
        above = [one for one in self.spans() if one.span_id == span.parent_id]
        return [*(self.path(above[0]) if above else []), span.name]

    def linked(self, span: Received) -> list[str]:
        """The names of the spans that it links to."""
        by_id = {one.span_id: one.name for one in self.spans()}
        return [by_id[link] for link in span.links]

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _answer_for(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            body = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Answer


def _spans_of(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for resource_spans in request.resource_spans:
        resource = _values(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield Received(
                    name=span.name,
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    links=tuple(link.span_id.hex() for link in span.links),
                    attributes=_values(span.attributes),
                    is_error=span.status.code == ERROR,
                    service=resource["service.name"],
                    instance=resource["service.instance.id"],
                )


def _values(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.end()
