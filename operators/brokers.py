"""How many messages wait in the broker's queues: rings and ticks in Celery's, events in RabbitMQ's work queues.

Guarantee: `look` returns within WAIT_SECONDS whatever the broker does (refuses, hangs, drips, resolves for ever): it is
asked by one background thread, never twice at a time. Not guaranteed: a depth younger than STALE_SECONDS.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from urllib.parse import urlsplit

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from outbox import rabbitmq, routing
from outbox.conf import conf

WAIT_SECONDS = 0.3
ANSWER_SECONDS = 0.25
STALE_SECONDS = 10.0
TICKS = "ticks"
TROUBLE = (redis.RedisError, *rabbitmq.TROUBLE, ValueError)


@dataclass(frozen=True, kw_only=True)
class Depth:
    """Messages in one queue; None: the queue is not there (yet)."""

    queue: str
    messages: int | None


@dataclass(frozen=True, kw_only=True)
class Broker:
    """One broker's queues, or why they are not known. Never its address: that holds a password."""

    title: str
    depths: tuple[Depth, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class _Place:
    title: str
    url: str
    queues: Sequence[str]
    ca_file: str = ""


class Watch:
    """The background thread's last answer, and the question that is under way."""

    def __init__(self, ask: Callable[[], list[Broker]]) -> None:
        self._ask = ask
        self._turn = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._question: Future[list[Broker]] | None = None
        self._answer: list[Broker] | None = None
        self._answered_at = 0.0

    def look(self) -> list[Broker]:
        """The depths now; the last known while a question takes longer; else that nobody answers."""
        with self._turn:
            # Made when first needed: a process that forks before has no thread to lose.
            self._threads = self._threads or ThreadPoolExecutor(1, thread_name_prefix="broker-depths")
            self._question = self._question or self._threads.submit(self._ask)
            question = self._question
        try:
            answer = question.result(WAIT_SECONDS)
        except NotInTime:
            return self._last_known()
        except Exception:
            self._done(question, None)
            raise
        self._done(question, answer)
        return answer

    def _last_known(self) -> list[Broker]:
        if self._answer is not None and time.monotonic() - self._answered_at < STALE_SECONDS:
            return self._answer
        trouble = f"no answer within {WAIT_SECONDS:g} s"
        return [Broker(title=place.title, trouble=trouble) for place in _places()]

    def _done(self, question: Future[list[Broker]], answer: list[Broker] | None) -> None:
        with self._turn:
            if self._question is question:
                self._question, self._answer, self._answered_at = None, answer, time.monotonic()


def ask() -> list[Broker]:
    """Every broker of the settings, one after the other; one that is away is told as such."""
    return [_asked(place) for place in _places()]


def _asked(place: _Place) -> Broker:
    try:
        depths = _of_rabbitmq(place) if urlsplit(place.url).scheme in ("amqp", "amqps") else _of_redis(place)
    except TROUBLE as error:
        return Broker(title=place.title, trouble=f"away: {type(error).__name__}")
    return Broker(title=place.title, depths=tuple(depths))


def _places() -> list[_Place]:
    celery = _Place(
        title="Celery's broker: rings and ticks",
        url=settings.CELERY_BROKER_URL,
        queues=[TICKS, *conf().queue_slots],
    )
    events = [
        _Place(
            title=f"Events for others: {outside.name}",
            url=str(outside.options["url"]),
            queues=[name for queue in conf().work_queues for name in (queue, f"{queue.removesuffix('.q')}.dlq")],
            ca_file=str(outside.options.get("ca_file", "")),
        )
        for outside in routing.all_outside()
        if str(outside.options.get("url", "")).startswith("amqp")
    ]
    return [celery, *events]


def _of_redis(place: _Place) -> list[Depth]:
    """A queue is a list; all are asked in one round trip."""
    client = redis.Redis.from_url(
        place.url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with client, client.pipeline(transaction=False) as pipeline:
        for queue in place.queues:
            pipeline.llen(queue)
        return [Depth(queue=queue, messages=n) for queue, n in zip(place.queues, pipeline.execute(), strict=True)]


def _of_rabbitmq(place: _Place) -> list[Depth]:
    address = rabbitmq.Address(url=place.url, ca_file=place.ca_file)
    connection = rabbitmq.connect(address, within_seconds=ANSWER_SECONDS)
    try:
        return [Depth(queue=queue, messages=rabbitmq.depth(connection, queue)) for queue in place.queues]
    finally:
        rabbitmq.let_go(connection)


look = Watch(ask).look
