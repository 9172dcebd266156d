"""A broker outside that is nothing but a list in Valkey, for the latency of a hand-over (P4)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from outbox.envelope import Message, to_wire
from outbox.exceptions import MessageRejected
from outbox.registry import Event

OUTSIDE = "bench_outside"
# The environment variable that names its address; without it there is no such destination.
SWITCH = "BENCH_OUTSIDE_URL"


@dataclass(frozen=True, kw_only=True)
class Told(Event):
    """What is told to the list."""

    type = "bench.told.v1"
    aggregate_type = "bench"
    text: str


class ListTransport:
    """Each message is one entry at the list's end."""

    def __init__(self, *, url: str) -> None:
        self._server = redis.Redis.from_url(url)

    def send(self, messages: Sequence[Message]) -> list[MessageRejected | None]:
        self._server.rpush(OUTSIDE, *(json.dumps(to_wire(message)) for message in messages))
        return [None] * len(messages)

    def close(self) -> None:
        self._server.close()
