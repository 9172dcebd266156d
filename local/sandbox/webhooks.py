"""The payment provider's webhooks: signed, sent after the charge by a thread of their own.

The charge's token chooses: `tok_webhook_before` (before the reply), `tok_webhook_five` (the same event five times),
`tok_webhook_never`. Not guaranteed: delivery. A receiver that is away gets three tries, then nothing, as in life.
"""

import hashlib
import hmac
import json
import queue
import threading
import time

import requests
from uuid_utils.compat import uuid7

from local.sandbox.ledger import Row

BEFORE, NEVER = "tok_webhook_before", "tok_webhook_never"
TIMES = {BEFORE: 0, "tok_webhook_five": 5}
TRIES = 3
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 2.0


class WebhookSender:
    """Sends to `url`; an empty one switches webhooks off."""

    def __init__(self, *, url: str, secret: str) -> None:
        self.url = url
        self._secret = secret.encode()
        self._counting = threading.Lock()
        self._under_way = 0
        self._session = requests.Session()
        self._session.trust_env = False
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="webhooks", daemon=True).start()

    def report(self, charge: Row) -> None:
        """Tells the receiver about a charge, in the way that its token asks for."""
        method = charge["payment_method"]
        if not self.url or method == NEVER:
            return
        event = json.dumps(
            {
                "id": f"evt_{uuid7().hex}",
                "type": f"charge.{charge['status']}",
                "data": {"id": charge["id"], "idempotency_key": charge["idempotency_key"]},
            }
        ).encode()
        if method == BEFORE:
            self._try(event)
        times = TIMES.get(method, 1)
        self._count(times)
        for _ in range(times):
            self._queue.put(event)

    @property
    def under_way(self) -> int:
        """How many are reported and neither received nor given up yet: none at rest, whatever the receiver does."""
        return self._under_way

    def _count(self, more: int) -> None:
        with self._counting:
            self._under_way += more

    def _run(self) -> None:
        while True:
            event = self._queue.get()
            for attempt in range(TRIES):
                if self._try(event):
                    break
                time.sleep(PAUSE_SECONDS * attempt)
            self._count(-1)

    def _try(self, event: bytes) -> bool:
        stamp = str(int(time.time()))
        signature = hmac.new(self._secret, stamp.encode() + b"." + event, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "Webhook-Signature": f"t={stamp},v1={signature}"}
        try:
            answer = self._session.post(
                self.url, data=event, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
        except requests.RequestException:
            return False
        return answer.ok
