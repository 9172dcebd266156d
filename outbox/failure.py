"""What becomes of messages whose work raised: again alone, again later, or dead.

Guarantee: an error never loses a message (I4). A batch that raised comes back one by one, so a bad message costs only
itself. Every attempt counts, whatever went wrong, so each message ends: one row that somebody locks, or one statement
that always costs the connection, must not stop its destination; ten attempts with backoff take minutes (decision 0013).
Not guaranteed: that this bookkeeping succeeds; when the database is gone, the claim runs out by the clock.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.db import transaction

from . import backoff, telemetry, tracing
from .conf import conf
from .context import about
from .envelope import Message
from .error_text import one_line
from .events import MessageDead
from .exceptions import Hopeless, RetryLater
from .models import OutboxMessage
from .publisher import Publication, publish_all
from .querysets import PutBack
from .routing import Inside

# Of a batch that failed, a line names that many: each comes back alone, and has a line of its own if it fails again.
NAMED_MAX = 10

log = structlog.get_logger(__name__)


def record(destination: Inside, messages: Sequence[Message], error: BaseException) -> None:
    """Decides for messages whose transaction raised and was undone."""
    reason = describe(error)
    log.warning(
        "outbox.work_failed",
        destination=destination.name,
        messages=len(messages),
        error=reason,
        exc_info=not isinstance(error, Hopeless | RetryLater),
        **_named(messages),
    )
    tracing.failed(messages, type(error).__name__, reason)
    telemetry.OUTBOX_FAILED.labels(destination.name).inc(len(messages))
    if len(messages) > 1:
        # Counted, so each is claimed alone from now on: attempts > 0 at claim time.
        put_back(messages, after=timedelta(0), error=reason, gives_attempt_back=False)
    elif isinstance(error, RetryLater):
        put_back(messages, after=error.after, error=reason, gives_attempt_back=True)
    elif isinstance(error, Hopeless) or messages[0].attempts >= conf().max_attempts:
        bury(destination, messages, error=reason)
    else:
        put_back(messages, after=backoff.delay(messages[0].attempts), error=reason, gives_attempt_back=False)


def put_back(messages: Sequence[Message], *, after: timedelta, error: str, gives_attempt_back: bool) -> None:
    """Makes messages due again after a while."""
    OutboxMessage.objects.all().put_back(
        [PutBack(m, after=after, error=error, gives_attempt_back=gives_attempt_back) for m in messages]
    )
    for message in messages:
        telemetry.OUTBOX_RETRIES.labels(message.destination).inc()


def bury(destination: Inside | None, messages: Sequence[Message], *, error: str) -> None:
    """Marks messages dead, and tells whoever waits for them, in one transaction."""
    with transaction.atomic():
        buried = OutboxMessage.objects.all().bury(messages, error=error)
        # Nothing about a dead message.dead: where it is rejected each would make the next, without end.
        publish_all([_dead_event(message, error) for message in buried if message.type != MessageDead.type])
        if destination is not None and destination.on_dead is not None:
            destination.on_dead(buried)
    tracing.failed(buried, "dead", error)
    for message in buried:
        with about(message):
            log.error("outbox.message_dead", error=error)


def describe(error: BaseException) -> str:
    """An error in one short line that Postgres takes, as columns and events carry it."""
    text = str(error).strip()
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _named(messages: Sequence[Message]) -> dict[str, list[str]]:
    """Of a batch, which: one that is alone is named by its context."""
    several = len(messages) > 1
    return {"message_ids": [str(message.message_id) for message in messages[:NAMED_MAX]]} if several else {}


def _dead_event(message: Message, error: str) -> Publication:
    event = MessageDead(
        message_id=message.message_id,
        destination=message.destination,
        message_type=message.type,
        attempts=message.attempts,
        reason=error,
    )
    # One message may die at two destinations and, requeued, again: no sequence orders that.
    return Publication(event=event, aggregate_id=message.key, sequence=None, correlation_id=message.correlation_id)
