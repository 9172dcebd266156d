"""Request number n of a seed: every route of the URL configuration, every kind of caller, garbage everywhere.

Guarantee: the same seed and number make the same request (but for a webhook's timestamp). A route that is added to the
URL configuration is asked for without anybody adding it here.
"""

import re
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver

from payments import webhooks

from . import garbage
from .conftest import ORDERS, Callers
from .wire import Request

METHODS = (
    "GET",
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "HEAD",
    "OPTIONS",
    "PUT",
    "PATCH",
    "DELETE",
    "TRACE",
    "PROPFIND",
    "X-ODD",
)
ROLES = ("customer", "customer", "staff", "other", "root", None)
PARAMETERS = (
    "cursor", "page", "page_size", "status", "currency", "format", "search", "ordering", "stuck", "state", "reading",
    "destination", "consumer", "name", "subject_id", "message_id", "correlation_id", "aggregate_id", "type", "q",
    "o", "p",
    "all", "e", "_facets", "id__exact", "status__exact", "saga_id", "next",
)  # fmt: skip
HEADERS = (
    "Accept", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Authorization", "Cookie",
    "Host",
    "X-Request-ID", "Idempotency-Key", "X-Forwarded-For", "X-Forwarded-Proto", "X-HTTP-Method-Override",
    "Accept-Language",
    "Accept-Encoding", "If-Modified-Since", "If-None-Match", "Range", "Referer", "Origin", "Expect", "traceparent",
    "baggage",
    "X-CSRFToken", "Webhook-Signature", "User-Agent",
)  # fmt: skip
BODY_TYPES = (
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json-patch+json",
)
ORDER = {
    "currency": "EUR",
    "items": [{"sku": "WIDGET", "quantity": 1, "unit_price": "9.99"}],
    "payment_method": "tok_ok",
}
DOCUMENTS: Sequence[dict[str, Any]] = (
    ORDER,
    {"sku": "WIDGET", "quantity": 1, "currency": "EUR"},
    {"items": [{"sku": "WIDGET", "quantity": 2}, {"sku": "GADGET", "quantity": 3}]},
    {"username": "ann", "password": "ann-of-the-fuzz"},
    {"id": "evt_1", "type": "charge.captured", "data": {"idempotency_key": "k"}},
)
# Of all requests: those that are nearly as they should be.
NEARLY_SOUND = 0.15
SOUND: Sequence[tuple[str, bytes, dict[str, Any]]] = (
    ("POST", b"/orders", ORDER),
    ("POST", b"/orders", {"sku": "WIDGET", "quantity": 2, "currency": "EUR"}),
    ("POST", b"/orders", {"sku": "GADGET", "quantity": 1, "unit_price": "24.49"}),  # not the catalogue's price
    *(("POST", f"/orders/{order_id}/cancel".encode(), {}) for order_id in ORDERS),
    ("POST", b"/api/auth-token/", {"username": "ann", "password": "ann-of-the-fuzz"}),
)
# Where a POST of somebody logged in would end the session, or the people, that the others are asked with.
LEFT_ALONE = re.compile(rb"log(in|out)|password|/auth|user|token|group")


def routes() -> list[str]:
    """Every route as the URL configuration writes it, `orders/<uuid:order_id>`."""
    return sorted(set(_routes(get_resolver().url_patterns, "")))


def _routes(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route


class Maker:
    """Makes requests; `callers` are the people of the database that they go to."""

    def __init__(self, seed: int, callers: Callers) -> None:
        self.seed = seed
        self.callers = callers
        everywhere = routes()
        self.of_the_admin = [route for route in everywhere if route.startswith(("admin/", "^", "api-auth/"))]
        self.of_the_api = [route for route in everywhere if route not in self.of_the_admin]

    def make(self, number: int) -> Request:
        random = Random(f"{self.seed}:{number}")
        return self._nearly_sound(random) if random.random() < NEARLY_SOUND else self._garbage(random)

    def _nearly_sound(self, random: Random) -> Request:
        """As a client would send it, or nearly: what gets past the edge, and meets what was sent before."""
        method, path, document = random.choice(SOUND)
        body = garbage.encode(document if random.random() < 0.7 else garbage.spoil(random, document))
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"k-{random.randrange(40)}"}
        headers["Authorization"] = f"Token {self.callers.tokens['customer']}"
        return Request(method=method, path=path, headers=headers, body=body if document else b"")

    def _garbage(self, random: Random) -> Request:
        admin = random.random() < 0.08
        path = self._path(random, random.choice(self.of_the_admin if admin else self.of_the_api))
        method = random.choice(METHODS)
        body, headers = (
            self._body(random) if method not in {"GET", "HEAD", "TRACE"} or random.random() < 0.05 else (b"", {})
        )
        headers |= self._caller(random, path, method) if not admin else self._browser(random, path, method)
        if path.startswith(b"/webhooks") and random.random() < 0.7:
            headers["Webhook-Signature"] = _signature(random, body)
        if random.random() < 0.5:
            headers["Idempotency-Key"] = _idempotency_key(random)
        for _ in range(random.choice((0, 0, 0, 1, 2))):
            headers[random.choice(HEADERS)] = random.choice(garbage.HEADER_VALUES)
        return Request(method=method, path=path, query=_query(random), headers=headers, body=body)

    def _path(self, random: Random, route: str) -> bytes:
        filled = re.sub(r"<(?:(\w+):)?(\w+)>", lambda found: _part(random, found[1] or "str"), route)
        path = b"/" + re.sub(r"[\^$\\?]|\(.*?\)", "", filled).encode(errors="surrogatepass")
        match random.randrange(20):
            case 0:
                return path + random.choice(
                    (b"/", b"//", b"/..", b"\x00", b"\xff\xfe", b";a", b"%", b".json", b"/" + b"a" * 5_000)
                )
            case 1:
                return b"/" + garbage.text(random).encode(errors="surrogatepass") + path
        return path

    def _body(self, random: Random) -> tuple[bytes, dict[str, str]]:
        document = random.choice(DOCUMENTS)
        headers = {"Content-Type": "application/json"}
        match random.randrange(10):
            case 0 | 1:
                body = garbage.encode(document)
            case 2 | 3 | 4 | 5:
                body = garbage.encode(garbage.spoil(random, document))
            case 6:
                body = garbage.with_literal(random, document)
            case 7:
                body = garbage.break_bytes(random, garbage.encode(document))
            case 8:
                body, headers["Content-Type"] = garbage.encode(document), random.choice(BODY_TYPES)
            case _:
                body = random.choice(garbage.LITERALS)
        if random.random() < 0.03:
            headers["Content-Length"] = str(max(0, len(body) + random.choice((-1, 1, 1_000, 10**7))))
        return body, headers

    def _caller(self, random: Random, path: bytes, method: str) -> dict[str, str]:
        role = random.choice(ROLES)
        return {"Authorization": f"Token {self.callers.tokens[role]}"} if role else {}

    def _browser(self, random: Random, path: bytes, method: str) -> dict[str, str]:
        """A session with its CSRF token: what the admin is asked with."""
        if LEFT_ALONE.search(path) and method not in {"GET", "HEAD", "OPTIONS"}:
            return {}
        token = "f" * 32
        return {"Cookie": f"sessionid={self.callers.session}; csrftoken={token}", "X-CSRFToken": token}


def _part(random: Random, converter: str) -> str:
    """A part of a path; mostly what its converter takes."""
    if random.random() < 0.15:
        return garbage.text(random)
    match converter:
        case "uuid":
            return str(random.choice([*ORDERS, UUID(int=random.getrandbits(128))]))
        case "int":
            return random.choice(("1", "0", "99999999999999999999"))
    return random.choice(("k-1", "k-2", "invalid-request", "1", "a/b", "_3A", "outbox", *map(str, ORDERS)))


def _query(random: Random) -> bytes:
    if random.random() < 0.55:
        return b""
    pairs = []
    for _ in range(random.choice((1, 1, 1, 2, 3, 60))):
        value = random.choice(
            (garbage.text(random), str(random.choice(garbage.NUMBERS)), "pending", "EUR", "json", "api", "10")
        )
        raw = value.encode(errors="surrogatepass")
        pairs.append(
            random.choice(PARAMETERS).encode()
            + b"="
            + (raw if random.random() < 0.2 else quote_from_bytes(raw).encode())
        )
    return b"&".join(pairs).replace(b"\r\n", b"")


def _idempotency_key(random: Random) -> str:
    """Few of them, so that they come again, with the same body and with others."""
    return random.choice((f'"k-{random.randrange(40)}"', f"k-{random.randrange(40)}", f"n-{random.getrandbits(40)}"))


def _signature(random: Random, body: bytes) -> str:
    stamp = str(int(time.time()) - random.choice((0, 0, 0, 10_000, -10_000)))
    return f"t={stamp},v1={webhooks.sign(body, timestamp=stamp)}"
