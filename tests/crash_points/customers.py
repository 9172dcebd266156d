"""Customers of a service that dies under them: they try again with their key until they are answered, and once more.

Guarantee: what a customer was answered is compared byte for byte with what the same key is answered later (I2).
"""

import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests

from .point import Wanted

# Longer than any request takes that is not lost, so that a frozen web process costs a customer this once.
REQUEST_SECONDS = 2.5
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.1
# The service says "again", or an armed error came through; anything else is an answer.
AGAIN = frozenset({409, 500, 502, 503})


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An answered order: its id, its answer's bytes, and under which key it can be asked for again."""

    wanted: Wanted
    key: str
    order_id: str
    answer: bytes


class Customers:
    """Threads that place orders at one address under one token."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._headers = {"Authorization": f"Token {token}"}
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="customer")

    def place(self, wanted: Wanted) -> "Future[Placed]":
        """Begins at once; the future ends when the order is answered."""
        return self._pool.submit(self._place, wanted)

    def cancel(self, placed: Placed) -> "Future[requests.Response]":
        """Wishes to cancel, until the wish is answered; 409 is an answer here, unless it says to come again."""
        return self._pool.submit(self._until_answered, f"/orders/{placed.order_id}/cancel", str(uuid.uuid4()))

    def ask_again(self, placed: Placed) -> requests.Response:
        """The same request under the same key."""
        return self._until_answered("/orders", placed.key, placed.wanted.body)

    def leave(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _place(self, wanted: Wanted) -> Placed:
        key = str(uuid.uuid4())
        answer = self._until_answered("/orders", key, wanted.body)
        assert answer.status_code == 201, answer.text
        return Placed(wanted=wanted, key=key, order_id=str(answer.json()["id"]), answer=answer.content)

    def _until_answered(self, path: str, key: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        deadline = time.monotonic() + PATIENCE_SECONDS
        last = "nothing"
        while time.monotonic() < deadline:
            try:
                answer = self._post(path, key, body)
            except requests.RequestException as error:
                last = type(error).__name__
            else:
                if answer.status_code not in AGAIN:
                    return answer
                last = answer.text
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"POST {path} was not answered within {PATIENCE_SECONDS:g} s: {last}")

    def _post(self, path: str, key: str, body: Mapping[str, Any] | None) -> requests.Response:
        # A connection for each try: one that was kept alive may belong to the process that is frozen.
        return requests.post(
            self._base_url + path,
            json=dict(body) if body is not None else None,
            headers={**self._headers, "Idempotency-Key": f'"{key}"', "Connection": "close"},
            timeout=REQUEST_SECONDS,
        )
