"""The span of one call to somebody else, a child of the message that it is made for; and a line when it failed.

Guarantee: the call carries its trace (`traceparent`), an error is named as the saga will see it, and no address, key or
body stands on the span. Off, it costs microseconds beside a call of milliseconds. Whoever calls decides what it means.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from providers.errors import ProviderError

tracer = trace.get_tracer("orders.providers")
_headers = TraceContextTextMapPropagator()
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Calling:
    """A call under way."""

    span: Span

    def headers(self) -> dict[str, str]:
        """What the call carries of its trace; nothing while tracing is off."""
        carried: dict[str, str] = {}
        _headers.inject(carried)
        return carried

    def answered(self, status: int) -> None:
        self.span.set_attribute("http.response.status_code", status)


@contextmanager
def calling(provider: str, name: str, attributes: Mapping[str, str | int]) -> Iterator[Calling]:
    """A CLIENT span around one call to a provider."""
    with tracer.start_as_current_span(
        name,
        kind=SpanKind.CLIENT,
        attributes={"peer.service": provider, **attributes},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield Calling(span=span)
        except ProviderError as error:
            kind, said = type(error).__name__, str(error)
            span.set_attribute("error.type", kind)
            # A mail server may name the customer's address: then its words are for the log, which masks them.
            span.set_status(Status(StatusCode.ERROR, said if "@" not in said else None))
            log.warning("provider.call_failed", provider=provider, call=name, error=f"{kind}: {said}")
            raise
