"""The sandbox's HTTP server: routes to the exchange, and sends replies as the faults want them.

Threads and keep-alive from the standard library: some hundred requests a second, which is what development needs.
Listens on loopback only and has no secrets: never deployed.
"""

import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.sandbox import books
from local.sandbox.exchange import Exchange
from local.sandbox.faults import Moods
from local.sandbox.ledger import Ledger
from local.sandbox.replies import Reply, json_reply
from local.sandbox.webhooks import WebhookSender

BODY_MAX_BYTES = 1_048_576
# What is remembered of the latest calls; the ledger remembers what happened, this also what was turned away.
CALLS_MAX = 100_000
PAGE_MAX = 500
IDLE_SECONDS = 120
WRITES = {
    "/payments/charges": books.CHARGE,
    "/payments/refunds": books.REFUND,
    "/shipping/shipments": books.SHIP,
}
LISTINGS = {
    "/payments/charges": ("payments", "charges"),
    "/payments/refunds": ("payments", "refunds"),
    "/shipping/shipments": ("shipping", "shipments"),
    "/shipping/cancellations": ("shipping", "cancellations"),
}


class SandboxServer(ThreadingHTTPServer):
    """One sandbox: its ledger, its moods, its webhooks."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self,
        *,
        port: int,
        ledger_path: Path,
        api_keys: frozenset[str],
        webhooks: WebhookSender,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__((host, port), _Conversation)
        self.api_keys = api_keys
        self.webhooks = webhooks
        self.ledger = Ledger(ledger_path)
        self.moods = Moods()
        self.exchange = Exchange(ledger=self.ledger, moods=self.moods, webhooks=webhooks)
        self.calls: deque[tuple[float, str, str, int]] = deque(maxlen=CALLS_MAX)
        # Set when it ends, so that a reply that is held back does not hold back the end.
        self.ending = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up are part of the game."""


class _Conversation(BaseHTTPRequestHandler):
    server: SandboxServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    wbufsize = 65_536

    def do_GET(self) -> None:
        self._send(self._guarded(self._get))

    def do_POST(self) -> None:
        self._send(self._guarded(self._post))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """No access log: the ledger is the record."""

    # ── routes ──

    def _guarded(self, route: Callable[[str, dict[str, str]], Reply]) -> Reply:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        reply = route(parts.path, query)
        if parts.path.startswith(("/payments/", "/shipping/")):
            self.server.calls.append((time.time(), self.command, parts.path, reply.status))
        return reply

    def _get(self, path: str, query: dict[str, str]) -> Reply:
        ledger, server = self.server.ledger, self.server
        if path in LISTINGS:
            provider, table = LISTINGS[path]
            return self._authorised() or server.exchange.read(
                provider, header=self._fault_header(), question=lambda: _listing(ledger, table, query)
            )
        answers: dict[str, Callable[[], Any]] = {
            "/health": lambda: {"status": "ok"},
            "/moods": server.moods.shown,
            "/calls": lambda: {"calls": list(server.calls)},
            "/webhook-target": lambda: {"url": server.webhooks.url, "under_way": server.webhooks.under_way},
            "/ledger": ledger.counts,
            "/ledger/violations": lambda: {"violations": ledger.violations()},
        }
        return json_reply(200, answers[path]()) if path in answers else json_reply(404, books.error("unknown_path"))

    def _post(self, path: str, query: dict[str, str]) -> Reply:
        body = self._body()
        if body is None:
            return json_reply(400, books.error("body_invalid"))
        if match := re.fullmatch(r"/moods/(\w+)", path):
            return self._set_mood(match[1], body)
        if path == "/webhook-target":
            self.server.webhooks.url = str(body.get("url", ""))
            return json_reply(200, {"url": self.server.webhooks.url})
        return self._authorised() or self._write(path, body)

    def _write(self, path: str, body: dict[str, Any]) -> Reply:
        operation = WRITES.get(path)
        if match := re.fullmatch(r"/shipping/shipments/([\w-]+)/cancel", path):
            operation, body = books.CANCEL, {"shipment_id": match[1]}
        if operation is None:
            return json_reply(404, books.error("unknown_path"))
        key = self.headers.get("Idempotency-Key", "")
        return self.server.exchange.write(operation, key=key, header=self._fault_header(), body=body)

    def _set_mood(self, provider: str, body: dict[str, Any]) -> Reply:
        try:
            self.server.moods.set(provider, name=str(body.get("mood", "ok")), rates=dict(body.get("rates") or {}))
        except (ValueError, TypeError) as error:
            return json_reply(400, {"error": {"code": "mood_invalid", "message": str(error)}})
        return json_reply(200, self.server.moods.shown())

    def _authorised(self) -> Reply | None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return None if key in self.server.api_keys else json_reply(401, books.error("key_invalid"))

    def _fault_header(self) -> str:
        return self.headers.get("X-Sandbox-Fault", "")

    def _body(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_MAX_BYTES:
            self.close_connection = True
            return None
        try:
            body = json.loads(self.rfile.read(int(length)) or b"{}")
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    # ── replies ──

    def _send(self, reply: Reply) -> None:
        if reply.hold_seconds:
            self.server.ending.wait(reply.hold_seconds)
        if reply.status == 0:
            self._cut()
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body) + reply.missing_bytes))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.drip_seconds:
            self._drip(reply)
        else:
            self.wfile.write(reply.body)
        self.wfile.flush()
        if reply.missing_bytes:
            self._cut()

    def _drip(self, reply: Reply) -> None:
        for index in range(len(reply.body)):
            self.wfile.write(reply.body[index : index + 1])
            self.wfile.flush()
            if self.server.ending.wait(reply.drip_seconds):
                return

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _listing(ledger: Ledger, table: str, query: dict[str, str]) -> dict[str, Any]:
    """The entries of a key, or a page of all of them, oldest first."""
    if key := query.get("idempotency_key"):
        return {"data": ledger.by_key(table, key), "has_more": False}
    wanted = query.get("limit", "100")
    limit = max(1, min(int(wanted), PAGE_MAX)) if wanted.isdecimal() else 100
    entries = ledger.page(table, after=query.get("after", ""), limit=limit + 1)
    return {"data": entries[:limit], "has_more": len(entries) > limit}
