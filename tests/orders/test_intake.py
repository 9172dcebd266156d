"""POST /orders: accepted once, answered the same for ever, in eight round trips (S1-S4, I1, I2, P5)."""

import re
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from psycopg import pq
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from idempotency.models import IdempotencyKey
from orders import services, telemetry
from orders.models import Order, OrderLine
from orders.serializers import OrderSerializer
from outbox.models import OutboxMessage
from tests.orders.builders import customer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("catalogue")]

BODY = {
    "currency": "EUR",
    "items": [{"sku": "WIDGET", "quantity": 3, "unit_price": "9.99"}],
    "payment_method": "tok_ok",
}


def post(client: APIClient, key: str | None = "k1", body: Any = None):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/orders", BODY if body is None else body, format="json", headers=headers)


def test_an_order_is_accepted_with_its_location(ann: APIClient, published):
    placed = telemetry.ORDERS_PLACED._value.get()
    answer = post(ann)

    assert answer.status_code == 201
    order = Order.objects.get()
    assert answer["Location"] == f"/orders/{order.id}"
    body = answer.json()
    assert body == {
        "id": str(order.id),
        "status": "pending",
        "reason": None,
        "currency": "EUR",
        "total": "29.97",
        "items": [{"sku": "WIDGET", "quantity": 3, "unit_price": "9.99"}],
        "placed_at": body["placed_at"],
        "ended_at": None,
        "cancel_requested_at": None,
        "fulfilment": {"step": None, "direction": "forward"},
        "payment": None,
        "shipment": None,
    }
    assert body["placed_at"].endswith("Z")
    assert set(body) == set(OrderSerializer().fields)
    assert len(published()) == 1
    assert telemetry.ORDERS_PLACED._value.get() == placed + 1
    assert IdempotencyKey.objects.get().resource_id == str(order.id)


def test_the_one_item_form_places_the_same_order(ann: APIClient):
    answer = post(ann, body={"sku": "WIDGET", "quantity": 3, "unit_price": "9.99"})
    assert answer.status_code == 201
    assert answer.json()["total"] == "29.97"
    assert answer.json()["items"] == [{"sku": "WIDGET", "quantity": 3, "unit_price": "9.99"}]


@pytest.mark.parametrize(("currency", "price", "total"), [("JPY", "1600", "4800"), ("KWD", "3.250", "9.750")])
def test_another_currency_has_its_own_digits(ann: APIClient, currency: str, price: str, total: str):
    body = {"currency": currency, "items": [{"sku": "WIDGET", "quantity": 3, "unit_price": price}]}
    assert post(ann, body=body).json()["total"] == total


def test_a_hundred_lines_are_accepted(ann: APIClient):
    items = [{"sku": f"SKU-{number}", "quantity": 10_000} for number in range(100)]
    assert post(ann, body={"items": items}).json()["total"] == "1000000.00"
    assert OrderLine.objects.count() == 100


def test_a_retry_gets_the_same_bytes_with_location(ann: APIClient, published):
    """S2."""
    placed = telemetry.ORDERS_PLACED._value.get()
    first, second = post(ann), post(ann)
    assert second.status_code == 201
    assert second.content == first.content
    assert second["Location"] == first["Location"]
    assert second["Idempotent-Replay"] == "true"
    assert Order.objects.count() == 1
    assert len(published()) == 1
    assert telemetry.ORDERS_PLACED._value.get() == placed + 1


def test_another_customers_same_key_places_another_order(ann: APIClient, bob: APIClient):
    """S4."""
    first, second = post(ann), post(bob)
    assert first.json()["id"] != second.json()["id"]
    assert Order.objects.count() == 2


def test_the_same_key_with_another_body_is_a_422(ann: APIClient):
    """S4."""
    post(ann)
    answer = post(ann, body={"sku": "WIDGET", "quantity": 4})
    assert answer.status_code == 422
    assert Order.objects.count() == 1


def test_a_caller_asks_what_became_of_the_key(ann: APIClient, bob: APIClient):
    order_id = post(ann).json()["id"]
    [use] = ann.get("/idempotency-keys/k1").json()["uses"]
    assert (use["method"], use["path"], use["order"], use["state"]) == ("POST", "/orders", order_id, "finished")
    assert bob.get("/idempotency-keys/k1").status_code == 404


@pytest.mark.parametrize("seam", ["orders.services.publish", "idempotency.services.store"])
def test_a_crash_before_commit_leaves_nothing_and_the_retry_places_one(
    ann: APIClient, monkeypatch: pytest.MonkeyPatch, published, seam: str
):
    """S3, I1: after the order and before its message; after the message and before its answer."""

    def crash(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt  # nothing in the project catches it

    with monkeypatch.context() as patch:
        patch.setattr(seam, crash)
        with pytest.raises(KeyboardInterrupt):
            post(ann)
    assert not Order.objects.exists()
    assert not OrderLine.objects.exists()
    assert not OutboxMessage.objects.exists()
    assert not IdempotencyKey.objects.exists()

    assert post(ann).status_code == 201
    assert Order.objects.count() == 1
    assert len(published()) == 1


def test_a_lost_reply_to_commit_without_a_key_is_looked_up_by_the_orders_id(
    ann: APIClient, monkeypatch: pytest.MonkeyPatch
):
    original = connection.commit

    def commit() -> None:
        monkeypatch.setattr(connection, "commit", original)
        original()
        connection.connection.close()
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(connection, "commit", commit)
    answer = post(ann, None)
    assert answer.status_code == 201
    assert answer.json()["id"] == str(Order.objects.get().id)


def test_twenty_posts_at_the_same_moment_make_one_order_and_twenty_identical_answers(live_server: Any, published):
    """S1, over real connections and threads."""
    token = Token.objects.create(user=customer())
    start = threading.Barrier(20)
    answers: list[requests.Response] = []

    def send() -> None:
        headers = {"Authorization": f"Token {token.key}", "Idempotency-Key": "one-click"}
        start.wait()
        answers.append(requests.post(f"{live_server.url}/orders", json=BODY, headers=headers, timeout=30))

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.status_code for answer in answers] == [201] * 20
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum("Idempotent-Replay" in answer.headers for answer in answers) == 19
    assert Order.objects.count() == 1
    assert len(published()) == 1


def test_intake_takes_eight_round_trips(ann: APIClient, published):
    """P5: BEGIN, claim, prices, order, lines, outbox, answer, COMMIT."""
    post(ann, "warm-up")
    sent = round_trips(lambda: post(ann, "k2"))
    assert sent == ["BEGIN", "INSERT", "SELECT", "INSERT", "INSERT", "INSERT", "UPDATE", "COMMIT"]


def test_a_replay_takes_four_round_trips(ann: APIClient):
    """BEGIN, claim, read back, COMMIT."""
    post(ann)
    assert len(round_trips(lambda: post(ann))) == 4


def round_trips(work: Callable[[], Any]) -> list[str]:
    """What went over the wire, as libpq itself saw it: the verb of each statement; each was waited for once."""
    connection.ensure_connection()
    libpq = connection.connection.pgconn
    # Of a statement that was prepared before, only its name would go over the wire; as often, but untold.
    connection.connection.prepare_threshold = None
    with tempfile.TemporaryFile() as trace:
        libpq.trace(trace.fileno())
        libpq.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        try:
            work()
        finally:
            libpq.untrace()
            connection.connection.prepare_threshold = settings.DATABASE_PREPARE_AFTER or None
        trace.seek(0)
        text = trace.read().decode(errors="replace")
    waits = re.findall(r"^F\t\d+\t(?:Query|Sync)\b", text, re.MULTILINE)
    statements = re.findall(r'^F\t\d+\t(?:Query|Parse)\t "(?:" ")?\s*(\w+)', text, re.MULTILINE)
    assert len(waits) == len(statements), text
    return statements


def test_intake_asks_nothing_of_apps_beside_its_own(ann: APIClient):
    """A fresh order has no saga, payment or parcel to ask for."""
    with CaptureQueriesContext(connection) as queries:
        post(ann)
    for table in ("sagas_", "payments_", "shipping_", "inventory_stockitem"):
        assert not [query for query in queries if table in query["sql"]]


def test_a_refused_order_publishes_nothing(ann: APIClient, published, monkeypatch: pytest.MonkeyPatch):
    called: list[Any] = []
    monkeypatch.setattr(services, "publish", lambda *args, **kwargs: called.append(args))
    assert post(ann, body={"sku": "NOTHING", "quantity": 1}).status_code == 400
    assert called == []
    assert published() == []
