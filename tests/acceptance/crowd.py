"""Customers who place orders at the same time, with mixed outcomes, and retry like a phone in a tunnel."""

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import requests

from tests.support.service import Service

THREADS = 8
TRIES = 20

# What is ordered, and how it must end whatever happens on the way.
MIXED: Sequence[tuple[dict[str, Any], str]] = (
    ({"sku": "WIDGET", "quantity": 2}, "confirmed"),
    ({"sku": "GADGET", "quantity": 1, "payment_method": "tok_drop_reply_once"}, "confirmed"),
    ({"sku": "CABLE", "quantity": 3, "payment_method": "tok_5xx_once"}, "confirmed"),
    ({"sku": "WIDGET", "quantity": 1, "payment_method": "tok_declined"}, "rejected: payment_declined"),
    ({"sku": "UNSHIPPABLE", "quantity": 1}, "rejected: shipping_unavailable"),
    ({"sku": "SOLD-OUT", "quantity": 1}, "rejected: out_of_stock"),
    ({"currency": "USD", "items": [{"sku": "WIDGET", "quantity": 1}, {"sku": "GIZMO", "quantity": 1}]}, "confirmed"),
    (
        {"sku": "UNSHIPPABLE", "quantity": 1, "payment_method": "tok_refund_drop_reply_once"},
        "rejected: shipping_unavailable",
    ),
)


def mixed(count: int) -> Iterator[tuple[dict[str, Any], str]]:
    return islice(cycle(MIXED), count)


def expected_ends(count: int) -> dict[str, int]:
    ends: dict[str, int] = {}
    for _, end in mixed(count):
        ends[end] = ends.get(end, 0) + 1
    return ends


def place_all(service: Service, count: int) -> list[str]:
    """Places the orders at once and returns their ids; each is tried again with its own key until it is answered."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda wanted: _place(service, wanted[0]), mixed(count)))


def _place(service: Service, body: dict[str, Any]) -> str:
    key = str(uuid.uuid4())
    for _ in range(TRIES):
        try:
            answer = service.place(body, key=key)
        except requests.ConnectionError:
            continue
        if answer.status_code == 201:
            return str(answer.json()["id"])
        assert answer.status_code in {409, 503}, answer.text
    raise AssertionError(f"not answered after {TRIES} tries: {body}")
