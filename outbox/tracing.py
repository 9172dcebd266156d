"""The spans of messages (OpenTelemetry): published, sent, processed, each in the trace that its message carries.

Guarantee: the row carries its publish span's context, and what is published in the course of a message goes on in the
message's trace, also in a batch of many, so an order is one trace. No SQL, no waiting: spans are values until a thread
of the SDK exports them. Off, which is the default, a batch costs one question (docs/tracing.md).
Not guaranteed: that a span arrives anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .envelope import Message, order_id_of
from .masking import in_prose

SYSTEM = "outbox"
Links = Sequence[Link]
Row = dict[str, Any]

tracer = trace.get_tracer("orders.outbox")
# The rows' headers are W3C trace context and nothing else: baggage would carry a stranger's words to every consumer.
_headers = TraceContextTextMapPropagator()


def is_on() -> bool:
    """Whether this process has a tracer provider (orders_project.tracing)."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is done with a message, in the words of OpenTelemetry's messaging conventions."""

    name: str
    type: str
    kind: SpanKind


PUBLISH = Operation(name="publish", type="create", kind=SpanKind.PRODUCER)
SEND = Operation(name="send", type="send", kind=SpanKind.CLIENT)
PROCESS = Operation(name="process", type="process", kind=SpanKind.CONSUMER)


@dataclass(frozen=True, kw_only=True)
class _UnderWay:
    """A message's own span, and where what is published in its course goes on."""

    span: Span
    onward: Context
    links: Links = ()


# By message id and by correlation id: a command names the message that caused it, an event in a batch only its order.
_under_way: ContextVar[Mapping[UUID, _UnderWay]] = ContextVar("outbox_under_way", default=MappingProxyType({}))


class Spans:
    """The spans of messages at one destination: begun when they are claimed, ended when their fate is known."""

    def __init__(self, operation: Operation, destination: str, *, system: str = SYSTEM) -> None:
        self._operation = operation
        self._name = f"{operation.name} {destination}"
        self._attributes = {
            "messaging.system": system,
            "messaging.operation.name": operation.name,
            "messaging.operation.type": operation.type,
            "messaging.destination.name": destination,
        }
        self._messages: dict[UUID, _UnderWay] = {}
        self._batch: Span | None = None

    def begin(self, messages: Sequence[Message]) -> None:
        """Each message's own span, in the message's own trace."""
        links = [Link(self._batch.get_span_context())] if self._batch else []
        for message in messages:
            self._messages[message.key] = self._begin(message, links)

    def begin_together(self, messages: Sequence[Message]) -> None:
        """The same; with several there is also a span of the batch, in a trace of its own, linked both ways."""
        if len(messages) > 1:
            self._batch = tracer.start_span(
                self._name,
                context=Context(),
                kind=self._operation.kind,
                attributes={**self._attributes, "messaging.batch.message_count": len(messages)},
                links=[link for message in messages for link in _links_to(_origin(message))],
            )
        self.begin(messages)

    def current(self, messages: Sequence[Message]) -> AbstractContextManager[None]:
        """What is published inside goes on in its message's trace; log lines stand in the span of the message that is
        alone, or of the batch."""
        return self._current(messages)

    def end(self, messages: Sequence[Message]) -> None:
        """Their fate is known."""
        for message in messages:
            if under_way := self._messages.pop(message.key, None):
                under_way.span.end()

    def end_all(self) -> None:
        """Nothing will become known any more."""
        for under_way in self._messages.values():
            under_way.span.end()
        self._messages.clear()
        if self._batch:
            self._batch.end()

    @contextmanager
    def _current(self, messages: Sequence[Message]) -> Iterator[None]:
        known = [(message, self._messages[message.key]) for message in messages if message.key in self._messages]
        by_correlation = {message.correlation_id: under_way for message, under_way in known}
        token = _under_way.set(by_correlation | {message.message_id: under_way for message, under_way in known})
        span = known[0][1].span if len(known) == 1 else self._batch
        try:
            with _current(span) if span else nullcontext():
                yield
        finally:
            _under_way.reset(token)

    def _begin(self, message: Message, links: Links) -> _UnderWay:
        origin = _origin(message)
        to_origin = _links_to(origin)
        # Between its publication and now somebody waited or worked in vain, maybe for days: linked, not continued.
        again = message.epoch > 1 or message.scheduled_for is not None
        linked = again or self._operation is SEND
        span = tracer.start_span(
            self._name,
            context=Context() if again else origin,
            kind=self._operation.kind,
            attributes={**self._attributes, **_attributes(message), "outbox.attempt": message.attempts},
            links=[*(to_origin if linked else ()), *links],
        )
        if again and to_origin:
            # What it publishes is the order's way forward, and stays in the order's trace.
            return _UnderWay(span=span, onward=origin, links=[Link(span.get_span_context())])
        return _UnderWay(span=span, onward=trace.set_span_in_context(span, Context()))


class _NoSpans(Spans):
    """Tracing is off."""

    def begin(self, messages: Sequence[Message]) -> None: ...
    def begin_together(self, messages: Sequence[Message]) -> None: ...
    def end(self, messages: Sequence[Message]) -> None: ...
    def end_all(self) -> None: ...
    def current(self, messages: Sequence[Message]) -> AbstractContextManager[None]:
        return nullcontext()


_NO_SPANS = _NoSpans(PROCESS, "")


def spans(operation: Operation, destination: str, *, system: str = SYSTEM) -> Spans:
    """For messages that come and go one by one."""
    return Spans(operation, destination, system=system) if is_on() else _NO_SPANS


@contextmanager
def batch(
    operation: Operation, destination: str, messages: Sequence[Message], *, system: str = SYSTEM
) -> Iterator[Spans]:
    """For messages that share one transaction, or one write: begun here, ended with the block."""
    batch_spans = spans(operation, destination, system=system)
    batch_spans.begin_together(messages)
    try:
        yield batch_spans
    finally:
        batch_spans.end_all()


@contextmanager
def publishing(rows: Sequence[Row]) -> Iterator[None]:
    """Publish spans around the insert of these rows, whose headers carry their contexts from here on."""
    published = [_publish(row) for row in rows] if is_on() else []
    try:
        yield
    finally:
        for span in published:
            span.end()


def own(message: Message) -> AbstractContextManager[Any]:
    """Inside, the span of this message is the current one, also amid a batch."""
    under_way = _under_way.get().get(message.message_id)
    return _current(under_way.span) if under_way else nullcontext()


def annotate(message: Message, attributes: Mapping[str, str | int | bool]) -> None:
    """Says more on the message's own span."""
    if under_way := _under_way.get().get(message.message_id):
        under_way.span.set_attributes(attributes)


def mark_duplicates(messages: Sequence[Message]) -> None:
    """The inbox knows these: nothing is done for them."""
    for message in messages:
        annotate(message, {"outbox.duplicate": True})


def answered(results: Iterable[tuple[Message, object]]) -> None:
    """A call that raised is an error of its message's span, whatever its outcome will be called."""
    for message, result in results:
        if isinstance(result, BaseException):
            failed([message], type(result).__name__, str(result))


def failed(messages: Sequence[Message], error_type: str, said: str = "") -> None:
    """Outcomes are values, so spans become errors by hand: the messages' own, and the batch's that raised with them."""
    under_way = _under_way.get()
    own_spans = [found.span for message in messages if (found := under_way.get(message.message_id))]
    batch_span = [trace.get_current_span()] if len(own_spans) > 1 else []
    for span in own_spans + batch_span:
        span.set_attribute("error.type", error_type)
        span.set_status(Status(StatusCode.ERROR, in_prose(said)))


def _publish(row: Row) -> Span:
    under_way = _under_way.get()
    cause = row["headers"].get("causationId")
    within = (under_way.get(UUID(cause)) if cause else None) or under_way.get(row["correlation_id"])
    destination = row["destination"]
    span = tracer.start_span(
        f"{PUBLISH.name} {destination}",
        context=within.onward if within else None,
        kind=PUBLISH.kind,
        attributes={
            "messaging.system": SYSTEM,
            "messaging.operation.name": PUBLISH.name,
            "messaging.operation.type": PUBLISH.type,
            "messaging.destination.name": destination,
            "messaging.message.id": str(row["message_id"]),
            "messaging.message.conversation_id": str(row["correlation_id"]),
        },
        links=within.links if within else (),
    )
    carried: dict[str, str] = {}
    _headers.inject(carried, context=trace.set_span_in_context(span))
    row["headers"] = {**row["headers"], **carried}
    return span


def _attributes(message: Message) -> dict[str, str]:
    order_id = order_id_of(message)
    return {
        "messaging.message.id": str(message.message_id),
        "messaging.message.conversation_id": str(message.correlation_id),
        **({"order.id": str(order_id)} if order_id else {}),
    }


def _origin(message: Message) -> Context:
    """The publish span's context, as the row carries it; an empty one when it was published without tracing."""
    return _headers.extract(message.headers, context=Context())


def _links_to(origin: Context) -> Links:
    published = trace.get_current_span(origin).get_span_context()
    return [Link(published)] if published.is_valid else []


def _current(span: Span) -> AbstractContextManager[Any]:
    """An exception that passes through says nothing by itself: what became of the message does."""
    return trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)
