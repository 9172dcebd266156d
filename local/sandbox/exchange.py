"""One request to a provider: its idempotency key, its fault, its effect, its reply.

Guarantees what real providers promise of idempotency keys: the same key and body get the same answer, another body is
refused, and a key whose request still runs answers 409. A fault is met only by the request that would have an effect:
a repeat of what was done gets its stored answer.
"""

import hashlib
import json
import threading
from collections.abc import Callable

from local.sandbox import books, replies
from local.sandbox.books import Invalid, Operation
from local.sandbox.faults import Fault, Moods
from local.sandbox.ledger import Answer, Ledger, Row
from local.sandbox.replies import Reply, json_reply
from local.sandbox.webhooks import WebhookSender


class Exchange:
    def __init__(self, *, ledger: Ledger, moods: Moods, webhooks: WebhookSender) -> None:
        self.ledger = ledger
        self.moods = moods
        self.webhooks = webhooks
        self._lock = threading.Lock()
        self._in_flight: dict[str, str] = {}

    def read(self, provider: str, *, header: str, question: Callable[[], Row]) -> Reply:
        """A question has no effect, but its reply meets the header's and the mood's faults."""
        fault = self.moods.fault(provider, header=header, asked=None, key="")
        if fault and (refusal := replies.before(fault)):
            return refusal
        reply = json_reply(200, question())
        return replies.after(fault, reply) if fault else reply

    def write(self, operation: Operation, *, key: str, header: str, body: Row) -> Reply:
        """An operation under its idempotency key."""
        if not 1 <= len(key) <= 255:
            return json_reply(400, books.error("idempotency_key_missing"))
        fingerprint = _fingerprint(operation, body)
        if reply := self._known(key, fingerprint, provider=operation.provider):
            return reply
        keeps_key = False
        try:
            met = self._fault(operation, key=key, header=header, body=body)
            if met and met.name == "late":
                keeps_key = True
                return self._commit_late(operation, key=key, body=body, seconds=met.seconds)
            return self._do(operation, key=key, body=body, fault=met)
        except Invalid as error:
            return json_reply(error.status, books.error(error.code))
        finally:
            if not keeps_key:
                self._end(key)

    def _known(self, key: str, fingerprint: str, *, provider: str) -> Reply | None:
        """The reply to a key that was used before, or is in use; None takes the key for this request."""
        with self._lock:
            stored = self.ledger.answer(key)
            used_for = stored[0] if stored else self._in_flight.get(key)
            if used_for is None:
                self._in_flight[key] = fingerprint
                return None
        if used_for != fingerprint:
            self.ledger.breach("one_key_with_two_bodies", key)
            return json_reply(422, books.error("idempotency_key_reused"))
        if stored is None:
            return json_reply(409, books.error("idempotency_key_in_use"), {"Retry-After": "1"})
        outage = self.moods.outage(provider)
        return replies.before(outage) if outage else json_reply(*stored[1], {"Idempotent-Replayed": "true"})

    def _fault(self, operation: Operation, *, key: str, header: str, body: Row) -> Fault | None:
        asked = operation.fault(self.ledger, body)
        return self.moods.fault(operation.provider, header=header, asked=asked, key=key)

    def _do(self, operation: Operation, *, key: str, body: Row, fault: Fault | None) -> Reply:
        if fault and (refusal := replies.before(fault)):
            return refusal
        reply = json_reply(*self._perform(operation, key=key, body=body, fault=fault))
        return replies.after(fault, reply) if fault else reply

    def _perform(self, operation: Operation, *, key: str, body: Row, fault: Fault | None) -> Answer:
        answer = self.ledger.perform(
            key,
            fingerprint=_fingerprint(operation, body),
            effect=lambda ledger: operation.effect(ledger, key, body, fault),
        )
        if operation is books.CHARGE:
            self.webhooks.report(self.ledger.by_key("charges", key)[0])
        return answer

    def _commit_late(self, operation: Operation, *, key: str, body: Row, seconds: float) -> Reply:
        """Cuts the caller off now, and does it later. The key is in use until then; a kill in between undoes it."""

        def commit() -> None:
            try:
                self._perform(operation, key=key, body=body, fault=None)
            finally:
                self._end(key)

        timer = threading.Timer(seconds, commit)
        timer.daemon = True
        timer.start()
        return replies.CUT

    def _end(self, key: str) -> None:
        with self._lock:
            self._in_flight.pop(key, None)


def _fingerprint(operation: Operation, body: Row) -> str:
    canonical = json.dumps([operation.table, body], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
