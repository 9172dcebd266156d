"""The provider of P2: answers every call after 100 ms, and one call in a hundred, chosen by its key, after 5 s.

A process of its own, so small that it costs neither side much: HTTP/1.1 read as far as it needs, connections that stay,
one event loop. It counts the calls under way over time, which is what the benchmark wants to know. Guarantees that both
sides' calls under one key take equally long. Not a server for anything else: it trusts its callers.

    POST /calls    Idempotency-Key: …    answers {"receipt": key}
    GET /calls/<key>                     answers {"receipt": key}, or null for a key that never came
    GET /figures                         answers what it counted
    DELETE /calls                        begins a new round: forgets keys and the most calls at once
"""

import asyncio
import json
import zlib
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

QUICK_SECONDS = 0.1
SLOW_SECONDS = 5.0
SLOW_ONE_IN = 100
MEAN_SECONDS = QUICK_SECONDS + (SLOW_SECONDS - QUICK_SECONDS) / SLOW_ONE_IN


def seconds_of(key: str) -> float:
    """How long the call under this key takes, whoever makes it."""
    return SLOW_SECONDS if zlib.crc32(key.encode()) % SLOW_ONE_IN == 0 else QUICK_SECONDS


@dataclass
class Book:
    """Calls under way, their sum over time, and how often each key was called."""

    under_way: int = 0
    most: int = 0
    call_seconds: float = 0.0
    moved_at: float = field(default_factory=monotonic)
    calls_by_key: Counter[str] = field(default_factory=Counter)

    def begin(self, key: str) -> None:
        self._move(1)
        self.most = max(self.most, self.under_way)
        self.calls_by_key[key] += 1

    def end(self) -> None:
        self._move(-1)

    def forget(self) -> None:
        self.most = self.under_way
        self.calls_by_key.clear()

    def figures(self) -> dict[str, float]:
        self._move(0)
        calls = self.calls_by_key.total()
        return {
            "at": self.moved_at,
            "calls": calls,
            "again": calls - len(self.calls_by_key),
            "under_way": self.under_way,
            "most": self.most,
            "call_seconds": self.call_seconds,
        }

    def _move(self, by: int) -> None:
        now = monotonic()
        self.call_seconds += self.under_way * (now - self.moved_at)
        self.moved_at = now
        self.under_way += by


class Connection(asyncio.Protocol):
    """One kept-alive connection, one call on it at a time."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        headers = _headers(head)
        if len(body) < int(headers.get("content-length", 0)):
            return
        self.received = b""
        self._serve(head.partition(b"\r\n")[0].decode(), headers)

    def _serve(self, request: str, headers: dict[str, str]) -> None:
        method, path, _ = request.split()
        if path == "/figures":
            self._answer(self.book.figures())
        elif method == "DELETE":
            self.book.forget()
            self._answer({})
        elif method == "GET":
            asked = path.removeprefix("/calls/")
            self._answer({"receipt": asked if asked in self.book.calls_by_key else None})
        else:
            self._begin(headers["idempotency-key"])

    def _begin(self, key: str) -> None:
        self.book.begin(key)
        asyncio.get_running_loop().call_later(seconds_of(key), self._end, key)

    def _end(self, key: str) -> None:
        self.book.end()
        self._answer({"receipt": key})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}


async def serve() -> None:
    """On any free port of loopback, which it says once it listens."""
    book = Book()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(book), "127.0.0.1", 0, backlog=1_000)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
