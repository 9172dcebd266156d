"""Kombu's Redis transport, which takes no harm from what is no message.

Guarantee: bytes in a queue's list that Kombu cannot read are logged and forgotten, as an unknown task is; without this
they end the worker that pops them (F8). Nothing is lost with them: a ring is repeated.
"""

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis

log = structlog.get_logger(__name__)

# What Kombu raises over JSON that is none, or that has another shape than its own envelope.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)


class Channel(redis.Channel):
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # Kombu has no types
        except UNREADABLE as error:
            log.error("celery.unreadable_message", error=f"{type(error).__name__}: {error}"[:200])
            # What Kombu itself raises when there was nothing to read.
            raise Empty from error


class Transport(redis.Transport):
    Channel = Channel
