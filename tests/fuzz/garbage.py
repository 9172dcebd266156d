"""Values that something, somewhere, was not made for."""

import json
from random import Random
from typing import Any

TEXTS = (
    "", " ", "\x00", "a\x00b", "\x1b[31m", "\x7f", "\u202e", "\ud800", "é", "٣", "１", "\U0001f4a3", "%00", "%s%n",
    "{0}",
    "' OR 1=1 --", "<script>", "../../etc/passwd", "null", "None", "true", "NaN", "1_0", "0x10", "1e5", "-0", "+1",
    "1.",
    ".5", "9" * 40, "WIDGET", "widget", "EUR", "eur", "JPY", "tok_ok", "pending", "9.99", "9.990", "1e400", "A" * 300,
    "A" * 5_000, "2026-01-01T00:00:00Z", "0001-01-01", "01a1f94a-0000-7000-8000-000000000000", "\ufeff", "\u2028",
    "\r\n",
)  # fmt: skip
NUMBERS = (0, 1, -1, 3, 10_000, 10_001, 2**31, 2**63, -(2**63) - 1, 10**30, 0.1, 1.0, 1e308, -0.0, 5e-324)
# Written into JSON as they are: what no encoder would write.
LITERALS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"01", b"+1", b"1.", b"0x1", b"1" * 5_000, b"undefined",
    b"'a'", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\x01"', b'"\xff\xfe"', b'"\\x41"', b"tru", b"[1,]",
    b'{"a":1,"a":2}', b'{"sku":"WIDGET","sku":"GADGET"}', b"[" * 30 + b"]" * 30, b"[" * 20_000,
    b'{"a":' * 21 + b"1" + b"}" * 21,
)  # fmt: skip
HEADER_VALUES = (
    "", " ", "*", "*/*", "text/html", "application/json", "application/json; charset=utf-16", "application/json;;=",
    "application/xml", "image/png", "text/html;q=nan", "a/b;q=1e9", ",,,", "multipart/form-data",
    "multipart/form-data; boundary=", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
    "gzip", "br",
    "identity", "chunked", "100-continue", "bytes=0-", "\xff\xfe", "\xe9", "\x01", "\t", '"', '"\\', '"a', "a" * 256,
    "a" * 9_000, "Token", "Token ", "Token a b", "Token \xff", "Basic !!!", "Basic Og==", "Bearer x", "Digest",
    "evil.example",
    "localhost:99999", "[::1", "-1", "0", "1e3", "99999999999999999999", "999999", "t=1,v1=00", "t=,v1=",
    "sessionid=\x01; csrftoken=",
    "a=b; a=c; =; ;;", "Thu, 32 Foo 2026 99:99:99 GMT", "de;q=0.5, \xff", "DELETE", "https://evil.example/\xff",
)  # fmt: skip


def text(random: Random) -> str:
    return random.choice(TEXTS)


def value(random: Random, depth: int = 0) -> Any:
    """Any JSON value, mostly small."""
    kind = random.randrange(8 if depth < 3 else 5)
    if kind < 2:
        return text(random)
    if kind < 4:
        return random.choice(NUMBERS)
    if kind == 4:
        return random.choice((None, True, False))
    if kind == 5:
        return [value(random, depth + 1) for _ in range(random.randrange(4))]
    return {
        random.choice(("sku", "quantity", "items", "id", "data", text(random))): value(random, depth + 1)
        for _ in range(random.randrange(4))
    }


def spoil(random: Random, document: Any) -> Any:
    """The document with one value, somewhere, replaced, removed, doubled or added."""
    if isinstance(document, dict) and document and random.random() < 0.8:
        name = random.choice(sorted(document))
        match random.randrange(5):
            case 0:
                return {other: inner for other, inner in document.items() if other != name}
            case 1:
                return {**document, text(random): value(random)}
            case _:
                return {**document, name: spoil(random, document[name])}
    if isinstance(document, list) and document and random.random() < 0.7:
        place = random.randrange(len(document))
        return [*document[:place], spoil(random, document[place]), *document[place : place + random.randrange(2)]]
    return value(random)


def encode(document: Any) -> bytes:
    """JSON as a client writes it; lone surrogates as escapes."""
    return json.dumps(document).encode()


def break_bytes(random: Random, body: bytes) -> bytes:
    """The text of a document, damaged as text."""
    place = random.randrange(len(body) + 1)
    match random.randrange(8):
        case 0:
            return body[:place]
        case 1:
            return body[:place] + random.choice(LITERALS) + body[place:]
        case 2:
            return b"\xef\xbb\xbf" + body
        case 3:
            return body.decode().encode("utf-16")
        case 4:
            return body + body
        case 5:
            return body[:place] + bytes(random.randrange(256) for _ in range(4)) + body[place + 1 :]
        case 6:
            return body + b" " * 70_000
    return bytes(random.randrange(256) for _ in range(random.randrange(200)))


def with_literal(random: Random, document: dict[str, Any]) -> bytes:
    """The document with a literal in place of one value that no encoder would write."""
    name = random.choice(sorted(document) or ["sku"])
    return encode({**document, name: "@@"}).replace(b'"@@"', random.choice(LITERALS))
