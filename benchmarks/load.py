"""A closed loop of HTTP clients, cheap enough to leave the processors to what is measured.

Each client is a thread with one kept-alive connection, ready-made bytes and the smallest reader that HTTP allows. Not
an HTTP client: it understands what our own gunicorn answers and nothing else.
"""

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What to send again and again; `keyed` gives each its own Idempotency-Key."""

    port: int
    path: str
    token: str
    body: dict[str, object]
    keyed: bool

    def bytes_of_one(self) -> bytes:
        body = json.dumps(self.body).encode()
        key = f'Idempotency-Key: "{uuid.uuid4()}"\r\n' if self.keyed else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {self.token}\r\n{key}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True, kw_only=True)
class Found:
    """How a closed loop went."""

    per_second: float
    count: int


def closed_loop(requests: Requests, *, clients: int, seconds: float) -> Found:
    """Each client sends its next request when it has the answer to its last. Raises on anything but a 201."""
    began = time.monotonic()
    count = _together(requests, lambda: time.monotonic() < began + seconds, clients=clients)
    return Found(per_second=count / (time.monotonic() - began), count=count)


def send_together(requests: Requests, *, count: int, clients: int) -> None:
    """That many in all, each client one after the other. Raises on anything but a 201."""
    left = iter(range(count))
    lock = threading.Lock()

    def goes_on() -> bool:
        with lock:
            return next(left, None) is not None

    _together(requests, goes_on, clients=clients)


def _together(requests: Requests, goes_on: Callable[[], bool], *, clients: int) -> int:
    counts: list[int] = []
    failures: list[OSError | RuntimeError] = []

    def client() -> None:
        try:
            counts.append(_drive(requests, goes_on))
        except (OSError, RuntimeError) as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts)


def send(requests: Requests, *, count: int) -> None:
    """That many, one after the other, on one connection. Raises on anything but a 201."""
    left = iter(range(count))
    _drive(requests, lambda: next(left, None) is not None)


def _drive(requests: Requests, goes_on: Callable[[], bool]) -> int:
    count = 0
    with socket.create_connection(("127.0.0.1", requests.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while goes_on():
            connection.sendall(requests.bytes_of_one())
            status, answer = read_answer(connection)
            if status != b"201":
                raise RuntimeError(f"{requests.path} answered {status!r}: {answer[:300]!r}")
            count += 1
    return count


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Status and body of one answer with a Content-Length."""
    data = b""
    while END_OF_HEAD not in data:
        data += _received(connection)
    head, _, body = data.partition(END_OF_HEAD)
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += _received(connection)
    return head[9:12], body


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("The server closed the connection.")
    return data
