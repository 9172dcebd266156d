"""A storm of retries: many keys, each sent by many clients at the same moment, some of whom hang up and come back.

Guarantees that every client ends with an answer or with a line in `unanswered`, and that all answers of one key are
kept to be compared. One asyncio loop with ready-made bytes, cheap enough to leave the processors to the service; not an
HTTP client: it understands what our own gunicorn answers and nothing else.

    found = storm(Storm(port=8000, token=token, body={"sku": "WIDGET", "quantity": 1}, keys=some_keys(1_000)))
    assert found.orders == 1_000 and not found.torn and not found.unanswered
"""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

END_OF_HEAD = b"\r\n\r\n"
ANSWER_SECONDS = 30.0
# What a client is told to repeat: a twin still runs, or the database is away.
RETRIED = {409, 503}


@dataclass(frozen=True, kw_only=True)
class Storm:
    """What to send: each key `times` at once, `keys_at_once` keys beside each other."""

    port: int
    token: str
    keys: Sequence[str]
    body: Mapping[str, Any]
    times: int = 50
    keys_at_once: int = 4
    # Share of the clients who hang up on their first try: half of them in the middle of the request, half after it.
    hang_up_share: float = 0.1
    # A hasty client: it comes again long before the Retry-After that it was told.
    retry_after_seconds: float = 0.2
    # How long one client tries before it gives up.
    patience_seconds: float = 60.0
    seed: int = 1


@dataclass
class Found:
    """What came of it. `bodies` and `locations` hold every distinct answer by key: one each when all is well."""

    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    locations: dict[str, set[bytes]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    replays: int = 0
    hung_up: int = 0
    cut: int = 0
    unanswered: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def orders(self) -> int:
        """How many different orders were answered, over all keys."""
        return len(set().union(*self.locations.values()))

    @property
    def torn(self) -> list[str]:
        """Keys that were not answered with the same bytes every time."""
        return [key for key, bodies in self.bodies.items() if len(bodies) > 1 or len(self.locations[key]) > 1]

    def note(self, key: str, answer: "Answer") -> None:
        self.bodies.setdefault(key, set()).add(answer.body)
        self.locations.setdefault(key, set()).add(answer.headers.get(b"location", b""))
        self.replays += b"idempotent-replay" in answer.headers


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


def some_keys(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def storm(wanted: Storm) -> Found:
    """Sends all of it and returns when every client has ended."""
    return asyncio.run(_storm(wanted))


async def _storm(wanted: Storm) -> Found:
    found = Found()
    luck = random.Random(wanted.seed)
    began = time.monotonic()
    keys_left = iter(wanted.keys)

    async def lane() -> None:
        for key in keys_left:
            request = _request(wanted, key)
            # Before the tasks run: what each client does depends on the seed alone.
            hang_ups = [_bytes_before_hang_up(luck, wanted, request) for _ in range(wanted.times)]
            await asyncio.gather(*(_client(wanted, key, request, at, found) for at in hang_ups))

    await asyncio.gather(*(lane() for _ in range(wanted.keys_at_once)))
    found.seconds = time.monotonic() - began
    return found


def _bytes_before_hang_up(luck: random.Random, wanted: Storm, request: bytes) -> int | None:
    """How much this client sends before it hangs up; None for one who waits."""
    if luck.random() >= wanted.hang_up_share:
        return None
    return luck.randrange(1, len(request)) if luck.random() < 0.5 else len(request)


async def _client(wanted: Storm, key: str, request: bytes, hangs_up_at: int | None, found: Found) -> None:
    """One client, until it has its 201."""
    if hangs_up_at is not None:
        await _hang_up(wanted.port, request[:hangs_up_at], found)
    gives_up_at = time.monotonic() + wanted.patience_seconds
    while time.monotonic() < gives_up_at:
        answer = await _ask(wanted.port, request)
        if answer is None:
            found.cut += 1
        else:
            found.statuses[answer.status] += 1
            if answer.status == 201:
                found.note(key, answer)
                return
            if answer.status not in RETRIED:
                found.unanswered.append(f"{key}: {answer.status} {answer.body[:200]!r}")
                return
        await asyncio.sleep(wanted.retry_after_seconds)
    found.unanswered.append(f"{key}: no answer within {wanted.patience_seconds:g} s")


async def _hang_up(port: int, some_bytes: bytes, found: Found) -> None:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(some_bytes)
        await writer.drain()
        writer.close()
        found.hung_up += 1
    except OSError:
        found.cut += 1


async def _ask(port: int, request: bytes) -> Answer | None:
    """One request on a connection of its own; None when no whole answer came back."""
    writer = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            return await _read(reader)
    except (OSError, EOFError, TimeoutError):
        return None
    finally:
        if writer is not None:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(END_OF_HEAD)
    first, *lines = head.removesuffix(END_OF_HEAD).split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    return Answer(status=int(first[9:12]), headers=headers, body=body)


def _request(wanted: Storm, key: str) -> bytes:
    body = json.dumps(wanted.body).encode()
    head = (
        f"POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {wanted.token}\r\n"
        f'Idempotency-Key: "{key}"\r\nContent-Type: application/json\r\nConnection: close\r\n'
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
