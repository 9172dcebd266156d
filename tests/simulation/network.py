"""Everything outside over HTTP and mail: a provider and a carrier with the sandbox's own books, reached when the world
wants it: at once, late, after the caller has given up or died, or never; and with every reply of docs/sandbox.md.

Guarantee: what real providers promise: one key and body, one answer; another body is refused; a key in use says so. An
effect comes within the in-flight horizon of its attempt; a charge or a parcel at worst a minute after it (F13).
Stored answers are forgotten after a day, as by some providers: whoever calls again then, instead of asking, pays twice.
Not guaranteed: that anybody hears of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from local.sandbox import books, faults, replies
from local.sandbox.ledger import Ledger
from local.sandbox.replies import Reply, json_reply
from local.sandbox.server import LISTINGS, WRITES
from notifications.channels.base import Notice
from providers import deadline
from providers.conf import for_provider
from providers.errors import OutcomeUnknown, Refused, Unavailable

if TYPE_CHECKING:
    from .world import World

FORGET_ANSWERS_SECONDS = 86_400.0
OUTAGE = {"down": Reply(status=503, headers={"Retry-After": "5"}), "dead": replies.CUT}
# Answers of a provider in which nothing was done, and in which it was and the caller does not get to know.
NOTHING_DONE = ("5xx", "429", "503", "401", "409", "cut", "html", "nonsense", "empty", "hang")
DONE_UNHEARD = ("5xx_after", "hang_after", "drop_reply", "half_reply", "wrong_amount", "wrong_key", "html_after")
# What may come true even after it was given up: the reconciliation, or a webhook, finds it (F13).
LATE_AT_WORST = ("/payments/charges", "/shipping/shipments")
CANCEL = re.compile(r"/shipping/shipments/([\w-]+)/cancel")


@dataclass(kw_only=True, eq=False)
class Question:
    """One request on its way: whoever sent it may be gone when it arrives."""

    provider: str
    method: str
    path: str
    query: dict[str, str]
    key: str
    body: dict[str, Any]
    fate: str
    # When the attempt that it belongs to had its intent on record, at the latest.
    intent_at: float
    reply: Reply | None = None

    @property
    def name(self) -> str:
        return f"{'asks about' if self.method == 'GET' else 'calls'} {self.path.rsplit('/', 1)[-1]}"


class Network:
    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger(Path(":memory:"))
        self.in_progress: dict[str, str] = {}
        self.answered_at: dict[str, float] = {}
        self.outages: dict[str, tuple[str, float]] = {}
        self.breaches: list[str] = []
        self.mails: list[str] = []
        self.on_the_way: list[Question] = []

    # ── the caller's side: in the thread of a call, and in a transport's ──

    def send(self, request: requests.PreparedRequest, timeout: tuple[float, float]) -> requests.Response:
        world, strand = self.world, self.world.stage.current
        assert strand is not None
        question = self._question(request)
        if "order_id" in question.body:
            world.aliases[question.key.split(":")[0]] = question.body["order_id"]
        world.tell(f"{question.name} of {world.label(question.key or question.path)}: {question.fate}")
        if question.fate == "unreachable":
            strand.pause(until=world.now + min(timeout[0], world.random.uniform(0.01, 4.0)))
            raise requests.ConnectTimeout
        self._let_go(question)
        patience = world.random.uniform(20.0, 90.0) if question.fate == "overstays" else timeout[1]
        strand.pause(until=world.now + patience, waits_for=lambda: question.reply is not None)
        if question.reply is None:
            raise requests.ReadTimeout
        if question.reply.status == 0:
            raise requests.ConnectionError("cut")
        return _response(question.reply)

    def mail(self, notice: Notice) -> None:
        world, strand = self.world, self.world.stage.current
        assert strand is not None
        fate = world.fate.of_mail()
        strand.pause(until=world.now + world.random.uniform(0.01, 0.5))
        if fate == "unavailable":
            raise Unavailable("450")
        if fate == "lost":
            raise OutcomeUnknown("timed out")
        if fate == "refused":
            raise Refused("no_such_recipient")
        self.mails.append(notice.message_id)
        world.tell(f"mail {notice.subject!r} arrives")
        if fate == "unheard":
            raise OutcomeUnknown("cut after the last byte")

    def _question(self, request: requests.PreparedRequest) -> Question:
        parts = urlsplit(request.url or "")
        provider = parts.path.split("/")[1]
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        left = deadline.remaining()
        limits = for_provider(provider)
        return Question(
            provider=provider,
            method=request.method or "",
            path=parts.path,
            query=query,
            key=request.headers.get("Idempotency-Key") or query.get("idempotency_key", ""),
            body=json.loads(request.body or "{}"),
            fate=self.world.fate.of_call(write=request.method == "POST"),
            intent_at=self.world.now + (left or 0.0) - limits.total_deadline_seconds,
        )

    def _let_go(self, question: Question) -> None:
        world = self.world
        self.on_the_way.append(question)
        if question.fate == "lost":
            self.on_the_way.remove(question)
            return
        if question.fate in {"late", "in_progress"}:
            world.later(world.random.uniform(0.01, 1.0), lambda: self._cut_off(question))
            return
        travel = world.random.uniform(3.0, 11.0) if question.fate == "slow" else world.random.uniform(0.005, 0.3)
        world.later(travel, lambda: self._arrive(question))

    def _cut_off(self, question: Question) -> None:
        """The caller is cut off now; the effect comes later: unheard of until then, or under a key that is in use."""
        question.reply = replies.CUT
        horizon = for_provider(question.provider).in_flight_horizon_seconds
        left = question.intent_at + horizon - self.world.now - 0.1
        beyond = question.path in LATE_AT_WORST and self.world.random.random() < 0.3
        wait = (
            self.world.random.uniform(left, left + 60.0) if beyond else self.world.random.uniform(0.0, max(left, 0.0))
        )
        if question.fate == "in_progress" and question.key not in self.in_progress:
            self.in_progress[question.key] = _fingerprint(question)
        late = replace(question, fate="beyond" if beyond else "ok", reply=None)
        self.on_the_way[self.on_the_way.index(question)] = late
        self.world.later(wait, lambda: self._arrive(late, releases=True))

    # ── the provider's side ──

    def _arrive(self, question: Question, *, releases: bool = False) -> None:
        if releases:
            self.in_progress.pop(question.key, None)
        self.on_the_way.remove(question)
        reply = self._outage(question.provider) or self._serve(question)
        self.world.later(
            self.world.random.uniform(0.005, 0.2) + reply.hold_seconds, lambda: self._reply(question, reply)
        )

    def _reply(self, question: Question, reply: Reply) -> None:
        question.reply = reply

    def _serve(self, question: Question) -> Reply:
        fault = faults.Fault(name=question.fate, seconds=30.0)
        if refusal := replies.before(fault):
            return refusal
        reply = self._ask(question) if question.method == "GET" else self._write(question, fault)
        done = reply.status in {200, 201}
        return replies.after(fault, reply) if done and not (question.method == "GET" and _is_empty(reply)) else reply

    def _ask(self, question: Question) -> Reply:
        _, table = LISTINGS[question.path]
        if question.key:
            entries, limit = self.ledger.by_key(table, question.key), 100
        else:
            limit = int(question.query.get("limit", "100"))
            entries = self.ledger.page(table, after=question.query.get("after", ""), limit=limit + 1)
        return json_reply(200, {"data": entries[:limit], "has_more": len(entries) > limit})

    def _write(self, question: Question, fault: faults.Fault) -> Reply:
        key, fingerprint = question.key, _fingerprint(question)
        operation, body = _operation(question)
        self._forget_old(key)
        stored = self.ledger.answer(key)
        used_for = stored[0] if stored else self.in_progress.get(key)
        if used_for not in {None, fingerprint}:
            self.breaches.append(f"one key with two bodies: {key}")
            return json_reply(422, books.error("idempotency_key_reused"))
        if stored is not None:
            return json_reply(*stored[1])
        if used_for is not None:
            return json_reply(409, books.error("idempotency_key_in_use"))
        try:
            answer = self.ledger.perform(
                key, fingerprint=fingerprint, effect=lambda ledger: operation.effect(ledger, key, body, fault)
            )
        except books.Invalid as error:
            return json_reply(error.status, books.error(error.code))
        except sqlite3.IntegrityError:
            self.breaches.append(f"called again, not asked, after the key was forgotten: {key}")
            return json_reply(500, books.error("internal"))
        self.answered_at[key] = self.world.now
        self.world.tell(f"{operation.table} {self.world.label(key)}: done with {answer[0]}")
        if question.fate == "beyond":
            self.world.happened["an effect beyond the horizon"] += 1
        if operation is books.CHARGE:
            self._report(key)
        return json_reply(*answer)

    def _forget_old(self, key: str) -> None:
        if self.world.now - self.answered_at.get(key, self.world.now) > FORGET_ANSWERS_SECONDS:
            self.ledger.change("DELETE FROM answers WHERE idempotency_key = ?", key)
            self.world.happened["a provider forgot a key"] += 1

    def _report(self, key: str) -> None:
        """Webhooks: before the reply, several times, late, or never."""
        [entry] = self.ledger.by_key("charges", key)
        event = {"id": f"evt_{entry['id'][3:]}", "type": "charge", "data": {"id": entry["id"], "idempotency_key": key}}
        for delay in self.world.fate.webhook_delays():
            self.world.later(delay, lambda: self.world.people.webhook(event))

    def _outage(self, provider: str) -> Reply | None:
        mood, ends_at = self.outages.get(provider, ("", 0.0))
        return OUTAGE[mood] if self.world.now < ends_at else None

    # ── what everybody may know afterwards ──

    def violations(self) -> list[str]:
        """What no caller may do. (A refused refund or cancellation is asked for again under a key of its own.)"""
        found = [(entry["kind"], entry["about"]) for entry in self.ledger.violations()]
        again = {"two_refund_keys_for_one_charge", "two_cancellation_keys_for_one_shipment"}
        return [f"{kind} {about}" for kind, about in found if kind not in again]

    def is_quiet_about(self, key: str) -> bool:
        return key not in self.in_progress and all(question.key != key for question in self.on_the_way)

    def reference_of(self, key: str) -> str | None:
        """What a person finds in the provider's books: the reference of what happened under a key."""
        for table, done in (("charges", "captured"), ("refunds", "refunded"), ("shipments", "created"),
                            ("cancellations", "cancelled")):  # fmt: skip
            for entry in self.ledger.by_key(table, key):
                if entry["status"] == done:
                    return str(entry["id"])
        return None


class Adapter(BaseAdapter):
    """Stands where providers.client mounts requests' own: everything above it is the service's own code."""

    world: Callable[[], World]

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        return type(self).world().network.send(request, options["timeout"])

    def close(self) -> None:
        """Nothing to let go of."""


class _Body:
    """A body as urllib3 would hand it over."""

    connection = None

    def __init__(self, content: bytes, *, missing: bool) -> None:
        self._content, self._missing = content, missing

    def read1(self, amount: int, *, decode_content: bool) -> bytes:
        content, self._content = self._content, b""
        if not content and self._missing:
            raise ConnectionResetError
        return content

    def close(self) -> None:
        """Read or not, it is gone."""

    release_conn = close


def _response(reply: Reply) -> requests.Response:
    response = requests.Response()
    response.status_code = reply.status
    length = str(len(reply.body) + reply.missing_bytes)
    response.headers = CaseInsensitiveDict(
        {"Content-Type": reply.content_type, "Content-Length": length, **reply.headers}
    )
    response.raw = _Body(reply.body, missing=bool(reply.missing_bytes))
    return response


def _operation(question: Question) -> tuple[books.Operation, dict[str, Any]]:
    if match := CANCEL.fullmatch(question.path):
        return books.CANCEL, {"shipment_id": match[1]}
    return WRITES[question.path], question.body


def _fingerprint(question: Question) -> str:
    operation, body = _operation(question)
    return hashlib.sha256(json.dumps([operation.table, body], sort_keys=True).encode()).hexdigest()


def _is_empty(reply: Reply) -> bool:
    return not json.loads(reply.body)["data"]
