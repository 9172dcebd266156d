"""RedisCounter: one atomic count in one round trip, on a connection that a background thread opens.

Guarantee: `increment` returns within its budget whatever the server does: refuses, hangs, drips or resolves for ever.
After one failure it answers None at once until the background thread has heard the server answer again.
It does not guarantee a count: None means "count elsewhere".
"""

import logging
import threading
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

logger = logging.getLogger(__name__)

# How long the background thread waits between two attempts: short first, so a restart costs little.
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
# Opening may take longer than a request may wait: nobody waits for it, except the process's first request.
OPENING_TIMEOUT_SECONDS = 1.0


class RedisCounter:
    """Counts for all threads of a process over one connection; threads queue for it within their own budget."""

    def __init__(self, url: str, *, budget_seconds: float) -> None:
        self._url = url
        self._budget_seconds = budget_seconds
        self._turn = threading.Lock()
        self._state = threading.Lock()
        # redis-py leaves its connections untyped.
        self._connection: Any = None
        self._opener: threading.Thread | None = None
        self._first_opening = threading.Event()

    def increment(self, key: str, lifetime_seconds: int) -> int | None:
        """The count after this one, or None when Redis did not answer in time."""
        if not self._url:
            return None
        deadline = time.monotonic() + self._budget_seconds
        if not self._is_open(deadline) or not self._turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return None
        try:
            return self._ask(key, lifetime_seconds, deadline)
        except (redis.RedisError, OSError, ValueError) as error:
            self._lose(error)
            return None
        finally:
            self._turn.release()

    def _is_open(self, deadline: float) -> bool:
        if self._connection is None:
            self._open_in_background()
            # Only the first opening is waited for: a known absence costs nothing.
            self._first_opening.wait(max(0.0, deadline - time.monotonic()))
            self._first_opening.set()
        return self._connection is not None

    def _ask(self, key: str, lifetime_seconds: int, deadline: float) -> int | None:
        connection = self._connection
        if connection is None:
            return None
        commands = [("INCR", key), ("EXPIRE", key, lifetime_seconds)]
        # The bare socket: redis-py's own reading starts its timeout again with every byte.
        socket = connection._sock
        socket.settimeout(_left(deadline))
        socket.sendall(b"".join(connection.pack_commands(commands)))
        answer = b""
        while answer.count(b"\r\n") < len(commands):
            socket.settimeout(_left(deadline))
            answer += _some(socket.recv(256))
        return _integer(answer)

    def _lose(self, error: Exception) -> None:
        """Forgets the connection: a late answer on it would be taken for the next request's."""
        logger.warning("throttle_redis_lost", extra={"error": str(error)})
        with self._state:
            lost, self._connection = self._connection, None
        if lost is not None:
            lost.disconnect()
        self._open_in_background()

    def _open_in_background(self) -> None:
        with self._state:
            if self._connection is None and (self._opener is None or not self._opener.is_alive()):
                self._opener = threading.Thread(target=self._open_until_heard, name="throttle-redis", daemon=True)
                self._opener.start()

    def _open_until_heard(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while (connection := self._try_to_open()) is None:
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        with self._state:
            self._connection = connection
        self._first_opening.set()

    def _try_to_open(self) -> Any:
        connection = _connection(self._url)
        try:
            connection.connect()
            connection.send_command("PING", check_health=False)
            connection.read_response()
        except (redis.RedisError, OSError, ValueError) as error:
            connection.disconnect()
            logger.info("throttle_redis_absent", extra={"error": str(error)})
            self._first_opening.set()
            return None
        return connection


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise redis.TimeoutError("the request's share of time is used up")
    return left


def _some(received: bytes) -> bytes:
    if not received:
        raise redis.ConnectionError("the server hung up")
    return received


def _integer(answer: bytes) -> int:
    """The first reply of `:7\\r\\n:1\\r\\n`; an error reply (read-only, out of memory) is a failure like any other."""
    first = answer.partition(b"\r\n")[0]
    if not first.startswith(b":"):
        raise redis.ResponseError(first[1:].decode(errors="replace"))
    return int(first[1:])


def _connection(url: str) -> Any:
    """A single connection without retries, notifications or client names: each of them is a round trip."""
    pool = ConnectionPool.from_url(
        url,
        socket_connect_timeout=OPENING_TIMEOUT_SECONDS,
        socket_timeout=OPENING_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    return pool.make_connection()
