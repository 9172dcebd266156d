"""What is being handled: the cause that new messages inherit, the ids that log lines carry, the spans of a trace.

While exactly one message is handled, what it publishes names that message as its cause, and every log line carries its
ids. A batch of several does not pretend to be one: its lines say where and how many, and a line about one of them is
written inside `about`. A command names its cause itself (`Command.causation_id`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from structlog.contextvars import bound_contextvars

from . import tracing
from .envelope import Message, order_id_of

_causation_id: ContextVar[UUID | None] = ContextVar("outbox_causation_id", default=None)


@contextmanager
def handling(messages: Sequence[Message], *, spans: tracing.Spans) -> Iterator[None]:
    """Everything inside is done for these messages of one destination."""
    with (
        caused_by(messages[0].message_id if len(messages) == 1 else None),
        bound_contextvars(**_ids_of_all(messages)),
        spans.current(messages),
    ):
        yield


@contextmanager
def about(message: Message) -> Iterator[None]:
    """Log lines inside are about this message, also amid a batch."""
    with bound_contextvars(**ids_of(message)), tracing.own(message):
        yield


@contextmanager
def caused_by(message_id: UUID | None) -> Iterator[None]:
    """Names the message that is being handled; None clears it (a batch of several)."""
    token = _causation_id.set(message_id)
    try:
        yield
    finally:
        _causation_id.reset(token)


def headers() -> dict[str, str]:
    """The cause, for a new row's headers; its trace context comes from its publish span (outbox.tracing)."""
    cause = _causation_id.get()
    return {"causationId": str(cause)} if cause else {}


def ids_of(message: Message) -> dict[str, str]:
    """What a log line says of one message."""
    order_id = order_id_of(message)
    return {
        f"{message.aggregate_type}_id": str(message.aggregate_id),
        **({"order_id": str(order_id)} if order_id else {}),
        "message_id": str(message.message_id),
        "correlation_id": str(message.correlation_id),
        "destination": message.destination,
    }


def _ids_of_all(messages: Sequence[Message]) -> dict[str, object]:
    if len(messages) == 1:
        return {**ids_of(messages[0])}
    return {"destination": messages[0].destination, "batch_size": len(messages)} if messages else {}
