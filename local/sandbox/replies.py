"""What goes over the wire: an ordinary reply, or what a fault makes of it.

`before` answers instead of doing anything; `after` spoils the reply to something that was done.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from local.sandbox.faults import Fault

JSON_TYPE = "application/json"
HUGE_BYTES = 4_194_304
DRIP_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`status` 0 is no reply at all: the connection is cut. `hold_seconds` passes first."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    hold_seconds: float = 0.0
    # Bytes that are announced and never sent.
    missing_bytes: int = 0
    # Between two bytes of the body.
    drip_seconds: float = 0.0


CUT = Reply(status=0)
HTML = Reply(status=200, body=b"<html><h1>Welcome to the hotel WLAN</h1></html>", content_type="text/html")
# Followed, it would look like success.
REDIRECT = Reply(status=302, headers={"Location": "/health"})


def json_reply(status: int, body: Any, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status=status, body=json.dumps(body).encode(), headers=headers or {})


def before(fault: Fault) -> Reply | None:
    """The reply of a fault under which nothing is done; None when something is."""
    replies = {
        "5xx": json_reply(500, {"error": {"code": "internal"}}),
        "429": json_reply(429, {"error": {"code": "too_many_requests"}}, {"Retry-After": "1"}),
        "503": json_reply(503, {"error": {"code": "unavailable"}}, {"Retry-After": "1"}),
        "401": json_reply(401, {"error": {"code": "key_invalid"}}),
        "404": json_reply(404, {"error": {"code": "unknown_path"}}),
        "409": json_reply(409, {"error": {"code": "idempotency_key_in_use"}}),
        "hang": replace(CUT, hold_seconds=fault.seconds),
        "cut": CUT,
        "html": HTML,
        "nonsense": Reply(status=200, body=b'{"id": "ch_1", "id": NaN'),
        "redirect": REDIRECT,
        "empty": Reply(status=200),
    }
    return replies.get(fault.name)


def after(fault: Fault, reply: Reply) -> Reply:
    """What the caller gets of the reply to something that was done."""
    spoilt = {
        "5xx_after": json_reply(502, {"error": {"code": "bad_gateway"}}),
        "hang_after": replace(CUT, hold_seconds=fault.seconds),
        "drop_reply": CUT,
        "half_reply": replace(reply, body=reply.body[:20], missing_bytes=len(reply.body)),
        "drip": replace(reply, body=b" " * int(fault.seconds / DRIP_SECONDS) + reply.body, drip_seconds=DRIP_SECONDS),
        "wrong_amount": _edited(reply, amount_minor=1),
        "wrong_key": _edited(reply, idempotency_key="somebody-else"),
        "html_after": HTML,
        "huge": replace(reply, body=reply.body + b" " * HUGE_BYTES),
        "redirect_after": REDIRECT,
        "bad_redirect": replace(REDIRECT, headers={"Location": "http://[bad"}),
        "two_lengths": replace(reply, headers={"Content-Length": "1"}),
        "slow": replace(reply, hold_seconds=fault.seconds),
    }
    return spoilt.get(fault.name, reply)


def _edited(reply: Reply, **fields: Any) -> Reply:
    body = json.loads(reply.body)
    for entry in body.get("data", [body]):
        entry.update(fields)
    return replace(reply, body=json.dumps(body).encode())
