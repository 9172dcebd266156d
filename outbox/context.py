"""What caused what: the headers that a message inherits from the work that publishes it.

While a consumer handles exactly one message, what it publishes names that message as its cause. In a batch a command
names its own (`Command.causation_id`), and an event has none. The trace context comes from OpenTelemetry's current span
(none when tracing is off).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from opentelemetry import propagate

_causation_id: ContextVar[UUID | None] = ContextVar("outbox_causation_id", default=None)


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
def caused_by(message_id: UUID | None) -> Iterator[None]:
    """Names the message that is being handled; None clears it (a batch of several)."""
    token = _causation_id.set(message_id)
    try:
        yield
    finally:
        _causation_id.reset(token)


def headers() -> dict[str, str]:
    """Causation and trace context of the running work, for a new row's headers."""
    carried: dict[str, str] = dict(_marks.get())
    propagate.inject(carried)
    if cause := _causation_id.get():
        carried["causationId"] = str(cause)
    return carried
