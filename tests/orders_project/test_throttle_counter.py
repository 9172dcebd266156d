"""RedisCounter against a real Valkey, a dead port and servers that hang, drip, lie and hang up."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import pytest
import redis

from orders_project import throttle_counter
from orders_project.throttle_counter import RedisCounter

# Far above any machine's hiccup, far below what a server that hangs would cost without a budget.
GENEROUS_SECONDS = 5.0


@pytest.fixture
def valkey_url() -> str:
    return os.environ["CELERY_BROKER_URL"]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(throttle_counter, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(throttle_counter, "LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(throttle_counter, "OPENING_TIMEOUT_SECONDS", 0.2)


def counter(url: str, *, budget_seconds: float = GENEROUS_SECONDS) -> RedisCounter:
    return RedisCounter(url, budget_seconds=budget_seconds)


@contextmanager
def server(behave: Callable[[socket.socket], object]) -> Iterator[str]:
    """Accepts every connection and behaves; ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, behave), daemon=True).start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def _serve(listening: socket.socket, behave: Callable[[socket.socket], object]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=behave, args=(connection,), daemon=True).start()


def dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def attempts(counting: RedisCounter, monkeypatch) -> list[int]:
    """One entry per attempt to open a connection."""
    seen: list[int] = []
    original = counting._try_to_open

    def attempt() -> object:
        seen.append(1)
        return original()

    monkeypatch.setattr(counting, "_try_to_open", attempt)
    return seen


def test_every_increment_counts_once_over_all_threads_and_processes(valkey_url):
    key = f"test:{uuid4()}"
    ours, theirs = counter(valkey_url), counter(valkey_url)
    with ThreadPoolExecutor(8) as pool:
        counts = set(pool.map(lambda n: (ours, theirs)[n % 2].increment(key, 60), range(200)))
    assert counts == set(range(1, 201))


def test_a_count_expires_with_its_window(valkey_url):
    key = f"test:{uuid4()}"
    counter(valkey_url).increment(key, 60)
    with redis.Redis.from_url(valkey_url) as client:
        assert 0 < client.ttl(key) <= 60


def test_without_an_address_nobody_is_asked():
    assert counter("").increment("key", 60) is None


def test_a_dead_port_is_no_count():
    assert counter(dead_url()).increment("key", 60) is None


def test_a_server_that_never_answers_is_no_count_and_is_waited_for_once():
    silent = threading.Event()
    with server(lambda connection: silent.wait()) as url:
        counting = counter(url, budget_seconds=0.05)
        assert counting.increment("key", 60) is None
        # From here on nobody waits: the event that the first request waited for is set.
        assert counting._first_opening.is_set()
        assert [counting.increment("key", 60) for _ in range(1_000)] == [None] * 1_000
    silent.set()


def test_a_server_that_stops_answering_is_given_up_after_one_request():
    stopped = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(b"+PONG\r\n")
        stopped.wait()

    with server(behave) as url:
        counting = counter(url, budget_seconds=0.2)
        assert counting._is_open(time.monotonic() + GENEROUS_SECONDS)
        assert counting.increment("key", 60) is None
        assert counting._connection is None
    stopped.set()


@pytest.mark.parametrize("reply", [b"-READONLY You can't write\r\n:1\r\n", b"garbage\r\n\r\n", b""])
def test_an_answer_that_is_no_count_is_no_count(reply):
    def behave(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(b"+PONG\r\n")
        connection.recv(1024)
        connection.sendall(reply)
        connection.close()

    with server(behave) as url:
        assert counter(url).increment("key", 60) is None


def test_a_reply_that_drips_is_bounded_by_the_whole_budget():
    finished = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(b"+PONG\r\n")
        connection.recv(1024)
        while not finished.wait(0.02):
            connection.send(b":")

    with server(behave) as url:
        assert counter(url, budget_seconds=0.2).increment("key", 60) is None
    finished.set()


def test_while_redis_is_away_one_thread_tries_and_requests_do_not(monkeypatch):
    monkeypatch.setattr(throttle_counter, "FIRST_PAUSE_SECONDS", 60.0)
    counting = counter(dead_url())
    tried = attempts(counting, monkeypatch)
    assert [counting.increment("key", 60) for _ in range(100)] == [None] * 100
    assert len(tried) == 1


def test_counting_goes_on_in_redis_when_it_is_back(valkey_url, monkeypatch):
    counting = counter(valkey_url)
    key = f"test:{uuid4()}"
    assert counting.increment(key, 60) == 1
    counting._connection._sock.shutdown(socket.SHUT_RDWR)
    assert counting.increment(key, 60) is None
    assert counting._opener is not None
    counting._opener.join(GENEROUS_SECONDS)
    assert counting.increment(key, 60) == 2
