"""What is being handled: the cause that new messages inherit, the ids that log lines carry, the spans of a trace.

While exactly one message is handled, what it publishes names that message as its cause, and every log line carries its
ids. A batch of several does not pretend to be one: its lines say where and how many, and a line about one of them is
written inside `about`. A command names its cause itself (`Command.causation_id`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from . import tracing
from .envelope import Message, order_id_of

_handled: ContextVar[Sequence[Message]] = ContextVar("outbox_handled", default=())
_marks: ContextVar[Mapping[str, str]] = ContextVar("outbox_marks", default={})  # noqa: B039 - never written to


@contextmanager
def marked(**marks: str) -> Iterator[None]:
    """Writes these headers into every message that is published meanwhile."""
    token = _marks.set(marks)
    try:
        yield
    finally:
        _marks.reset(token)


@contextmanager
def handling(messages: Sequence[Message], *, spans: tracing.Spans) -> Iterator[None]:
    """Everything inside is done for these messages of one destination."""
    token = _handled.set(messages)
    try:
        with spans.current(messages):
            yield
    finally:
        _handled.reset(token)


@contextmanager
def about(message: Message) -> Iterator[None]:
    """Everything inside is about this one, also amid a batch."""
    token = _handled.set([message])
    try:
        with tracing.own(message):
            yield
    finally:
        _handled.reset(token)


def headers() -> dict[str, str]:
    """The cause and the marks, for a new row's headers; the trace context is its publish span's (outbox.tracing)."""
    handled = _handled.get()
    cause = {"causationId": str(handled[0].message_id)} if len(handled) == 1 else {}
    return {**_marks.get(), **cause}


def log_ids() -> dict[str, str | int]:
    """What a log line says of what is being handled; asked for when a line is written, and not before."""
    handled = _handled.get()
    if not handled:
        return {}
    if len(handled) > 1:
        return {"destination": handled[0].destination, "batch_size": len(handled)}
    message = handled[0]
    order_id = order_id_of(message)
    return {
        f"{message.aggregate_type}_id": str(message.aggregate_id),
        **({"order_id": str(order_id)} if order_id else {}),
        "message_id": str(message.message_id),
        "correlation_id": str(message.correlation_id),
        "destination": message.destination,
    }
