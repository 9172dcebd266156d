"""A server that sends exactly the bytes a test wants, and short limits."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

LIMITS = {
    "CONNECT_TIMEOUT_SECONDS": 0.5,
    "READ_TIMEOUT_SECONDS": 0.5,
    "TOTAL_DEADLINE_SECONDS": 1.0,
    "IN_FLIGHT_HORIZON_SECONDS": 2.0,
    "CALL_SLOTS": 4,
    "ANSWER_MAX_BYTES": 1_000,
    "BREAKER_FAILURES": 3,
    "BREAKER_OPEN_SECONDS": 60.0,
    "BREAKER_OPEN_MAX_SECONDS": 300.0,
}


@pytest.fixture
def limits(settings):
    settings.PROVIDERS = dict.fromkeys(django_settings.PROVIDERS, LIMITS)
    return LIMITS


class RawServer:
    """Reads one request per connection, remembers it, sends the reply's bytes, and closes."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.replies: list[bytes] = []
        # Between two bytes of a reply.
        self.drip_seconds = 0.0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.requests.append(_read_request(connection))
                self._send(connection, self.replies.pop(0) if self.replies else b"")

    def _send(self, connection: socket.socket, reply: bytes) -> None:
        if not self.drip_seconds:
            connection.sendall(reply)
            return
        for index in range(len(reply)):
            connection.sendall(reply[index : index + 1])
            time.sleep(self.drip_seconds)

    def close(self) -> None:
        self._socket.close()


def _read_request(connection: socket.socket) -> bytes:
    """All of it: closing with bytes unread would reset the connection under the reply."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65_536)
    length = re.search(rb"Content-Length: (\d+)", request)
    while length and len(request.partition(b"\r\n\r\n")[2]) < int(length[1]):
        request += connection.recv(65_536)
    return request


@pytest.fixture
def server() -> Iterator[RawServer]:
    running = RawServer()
    yield running
    running.close()
