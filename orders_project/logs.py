"""One log for the project, Django, Celery and libraries: JSON lines or readable ones, to standard error.

Guarantee: one event is one line (line breaks and control characters are escaped), e-mail addresses, tokens and other
secrets are masked, and whatever ids the current context knows (request, order, saga, message, correlation, trace) stand
on it (outbox.context knows the messages').
It does not guarantee that a traceback of a library names no personal data beyond those patterns.
"""

import logging.config
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

import structlog
from django.conf import settings
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from outbox import context
from outbox.masking import MASK, in_prose

_SECRET_WORDS = ("password", "secret", "token", "authorization", "api_key", "cookie", "payment_method", "email")
# C0 without tab, DEL, C1 (terminal escapes), line and paragraph separators.
_UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_STANDARD_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure() -> None:
    """Sets up structlog and the standard library together; safe to call again."""
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.config.dictConfig(_standard_library())


def configure_for_celery(**_: object) -> None:
    """Receiver of Celery's `setup_logging` signal: with a receiver, Celery leaves the loggers alone."""
    configure()


def bound(**ids: object) -> AbstractContextManager[None]:
    """Everything logged inside carries these ids: `with bound(order_id=…):`."""
    return structlog.contextvars.bound_contextvars(**ids)


@contextmanager
def afresh(**ids: object) -> Iterator[None]:
    """Everything logged inside carries these ids and what is bound meanwhile; nothing of it is left afterwards."""
    before = structlog.contextvars.get_contextvars()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**ids)
    try:
        yield
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**before)


def _standard_library() -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": settings.LOG_LEVEL},
        "loggers": {
            # The access log has one line per request already.
            "django.server": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},
            "kombu": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            # One line per tick, several a second.
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
        },
    }


def _formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), _foreign_fields],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _mask,
            _escape,
            _renderer(),
        ],
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _ids,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderer() -> Processor:
    if settings.LOG_FORMAT == "json":
        return structlog.processors.JSONRenderer(default=str)
    # A traceback is already text here: people read it as it is.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The message or batch that is being handled, and the trace and span that the line was written in, if any."""
    event = {**context.log_ids(), **event}
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def _foreign_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`extra=` of the standard library, except objects (Django passes whole requests)."""
    for key, value in vars(event["_record"]).items():
        if key not in _STANDARD_RECORD and isinstance(value, (str, int, float, bool)):
            event.setdefault(key, value)
    return event


def _mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: Any) -> Any:
    if _names_a_secret(key):
        return MASK
    if isinstance(value, str):
        return in_prose(value)
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), item) for inner, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_masked("", item) for item in value]
    if value is None or isinstance(value, (int, float, bool)):
        return value
    return in_prose(str(value))


@lru_cache(maxsize=1_000)
def _names_a_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: value if key == "exception" else _escaped(value) for key, value in event.items()}


def _escaped(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
