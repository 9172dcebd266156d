"""The same garbage through the real gunicorn, as bytes on a socket: what no client library would send included."""

import http.client
import socket
from collections import Counter
from io import BytesIO
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import pytest

from . import garbage
from .conftest import Callers
from .requests import Maker
from .rules import Broken, check, is_the_servers_own
from .test_garbage import REQUESTS, SEED
from .wire import Answer, Request

pytestmark = pytest.mark.proof
SHARE = 0.05
DAMAGED = 0.2
PATIENCE_SECONDS = 20
# A request that announces more than it sends is ended from our side; no answer at all is then no mistake of theirs.
DAMAGE = (
    b"GET / HTTP/9.9\r\n\r\n", b"\x00\xff\xfe\r\n\r\n", b"GET /orders\r\n\r\n", b"get / http/1.1\r\n\r\n",
    b"\r\n\r\n",
    b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nA" + b"b" * 9_000 + b": 1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
)  # fmt: skip


class Wire:
    """A connection per request, ended from our side once it is sent."""

    def __init__(self, base_url: str) -> None:
        url = urlsplit(base_url)
        self.address = (str(url.hostname), int(url.port or 80))

    def exchange(self, raw: bytes) -> Answer | None:
        """None: the connection was ended without an answer."""
        received = b""
        with socket.create_connection(self.address, timeout=PATIENCE_SECONDS) as connection:
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(65_536):
                    received += chunk
            except ConnectionError:
                pass  # ended while we were still sending: what came before it counts
        return _parsed(received) if received else None


def _parsed(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, _, lines = head.partition(b"\r\n")
    if status_line.split()[1] == b"100":
        return _parsed(body)  # "go on": the answer follows
    headers = http.client.parse_headers(BytesIO(lines + b"\r\n\r\n"))
    return Answer(
        status=int(status_line.split()[1]), headers={name.lower(): value for name, value in headers.items()}, body=body
    )


def written(request: Request) -> bytes:
    """The request as bytes; its path and query escaped where a request line could not carry them."""
    target = quote_from_bytes(request.path, safe="/:@!$&'()*+,;=-._~")
    query = request.query.replace(b" ", b"+").replace(b"\r", b"").replace(b"\n", b"")
    named = {"Host": "localhost", "Connection": "close", "Content-Length": str(len(request.body)), **request.headers}
    head = [f"{request.method} {target}".encode() + (b"?" + query if query else b"") + b" HTTP/1.1"]
    head += [f"{name}: {value}".encode("latin-1", "replace") for name, value in named.items()]
    return b"\r\n".join([*head, b"", request.body])


def damaged(random: Random, raw: bytes) -> bytes:
    """Bytes that are no HTTP any more, or only nearly."""
    if random.random() < 0.5:
        return random.choice(DAMAGE)
    place = random.randrange(len(raw))
    return raw[:place] + random.choice(garbage.LITERALS)[:200] + raw[place + 1 :]


@pytest.fixture
def web(service: Any) -> Any:
    service.start("web")
    return service


def test_garbage_behind_gunicorn_is_never_a_5xx_and_it_serves_on(web):
    share = int(REQUESTS * SHARE)
    wire = Wire(web.base_url)
    roles = {"customer": web.tokens["customer"], "other": web.tokens["customer"], "staff": web.tokens["staff"]}
    maker = Maker(SEED, Callers(tokens={**roles, "root": web.tokens["staff"]}, session="none"))
    statuses: Counter[int] = Counter()
    for number in range(share):
        request = maker.make(number)
        random = Random(f"{SEED}:{number}:bytes")
        raw = written(request)
        if random.random() < DAMAGED:
            statuses[_ask_damaged(wire, damaged(random, raw))] += 1
        else:
            statuses[_ask(wire, raw, request)] += 1

    print(f"seed {SEED}: {share} requests, {dict(sorted(statuses.items()))}")  # noqa: T201 - for whoever looks
    assert statuses.total() == share
    assert {200, 400, 401, 404, 405} <= set(statuses)
    assert web.place({"sku": "WIDGET", "quantity": 1}).status_code == 201


def _ask(wire: Wire, raw: bytes, request: Request) -> int:
    answer = wire.exchange(raw)
    try:
        assert answer is not None, "no answer"
        check(request, answer, behind_a_server=True)
    except AssertionError as error:
        raise Broken(f"{error}\n  {raw[:3000]!r}") from error
    return answer.status


def _ask_damaged(wire: Wire, raw: bytes) -> int:
    """Whose rules hold depends on what is left of the request; that a 5xx is no answer always holds."""
    answer = wire.exchange(raw)
    if answer is not None and answer.status >= 500 and not is_the_servers_own(answer):
        raise Broken(f"{answer.status}: {answer.body[:300]!r}\n  {raw[:3000]!r}")
    return answer.status if answer else 0
