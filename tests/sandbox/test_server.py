"""The sandbox keeps the promises of a real provider, and tells when a caller broke the rules."""

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from uuid import uuid4

import pytest
import requests
from django.core.management import CommandError, call_command

from local.ports import any_free
from local.sandbox.ledger import Ledger
from local.stack import wait_until
from payments.webhooks import verify
from tests.support import webhooks
from tests.support.sandbox import KEY, start_sandbox


def charge_body(method: str = "tok_ok", **changes) -> dict:
    return {"amount_minor": 500, "currency": "EUR", "payment_method": method, "order_id": uuid4().hex} | changes


def charge(sandbox, body=None, *, key="", fault=""):
    return sandbox.post("/payments/charges", body or charge_body(), key=key or uuid4().hex, fault=fault)


def new_violations(sandbox, act) -> list[str]:
    before = len(sandbox.violations())
    act()
    return [found["kind"] for found in sandbox.violations()[before:]]


def test_the_same_key_and_body_get_the_same_bytes(sandbox):
    body, key = charge_body(), uuid4().hex
    first, second = charge(sandbox, body, key=key), charge(sandbox, body, key=key)
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


def test_twenty_requests_with_one_key_at_once_charge_once(sandbox):
    body, key = charge_body(), uuid4().hex
    with ThreadPoolExecutor(20) as pool:
        statuses = {answer.status_code for answer in pool.map(lambda _: charge(sandbox, body, key=key), range(20))}
    assert statuses <= {201, 409}
    assert len(sandbox.entries("/payments/charges", key=key)) == 1


def test_one_key_with_two_bodies_is_refused_and_remembered_against_the_caller(sandbox):
    key = uuid4().hex
    charge(sandbox, key=key)

    def again() -> None:
        assert charge(sandbox, key=key).json() == {"error": {"code": "idempotency_key_reused"}}

    assert new_violations(sandbox, again) == ["one_key_with_two_bodies"]


def test_two_keys_for_one_order_are_remembered_against_the_caller(tmp_path):
    own = start_sandbox(tmp_path)
    try:
        body = charge_body()
        charge(own, body)
        assert own.violations() == []
        charge(own, body)
        shipment = {"order_id": "o1", "lines": [{"sku": "WIDGET", "quantity": 1}]}
        for key in ("a", "b"):
            own.post("/shipping/shipments", shipment, key=key)
        assert [found["kind"] for found in own.violations()] == [
            "two_charge_keys_for_one_order",
            "two_shipment_keys_for_one_order",
        ]
    finally:
        own.program.end(within_seconds=5)


def test_a_second_key_for_one_refund_is_a_breach_unless_the_first_was_refused(tmp_path):
    own = start_sandbox(tmp_path)

    def refund_twice(token: str) -> None:
        charged = charge(own, charge_body(token)).json()
        for _ in range(2):
            body = {"charge_id": charged["id"], "amount_minor": 1, "currency": "EUR"}
            own.post("/payments/refunds", body, key=uuid4().hex)

    try:
        refund_twice("tok_refund_declined")
        assert own.violations() == []
        refund_twice("tok_ok")
        assert [found["kind"] for found in own.violations()] == ["two_refund_keys_for_one_charge"]
    finally:
        own.program.end(within_seconds=5)


def test_more_than_was_charged_is_not_refunded(sandbox):
    charged = charge(sandbox).json()
    body = {"charge_id": charged["id"], "amount_minor": 501, "currency": "EUR"}

    def refund() -> None:
        answer = sandbox.post("/payments/refunds", body, key=uuid4().hex)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "refund_exceeds_charge")

    assert new_violations(sandbox, refund) == ["refund_exceeds_charge"]


@pytest.mark.parametrize("change", [{"amount_minor": 0}, {"amount_minor": "5"}, {"currency": None}, {"order_id": ""}])
def test_a_request_that_makes_no_sense_is_refused_and_its_key_stays_free(sandbox, change):
    key, body = uuid4().hex, charge_body()
    assert charge(sandbox, body | change, key=key).status_code == 400
    assert charge(sandbox, body, key=key).status_code == 201


def test_without_a_key_or_credentials_nothing_is_done(sandbox):
    url = f"{sandbox.url}/payments/charges"
    assert requests.post(url, json=charge_body(), headers=KEY, timeout=5).status_code == 400
    assert requests.post(url, json=charge_body(), timeout=5).status_code == 401
    assert requests.get(f"{sandbox.url}/nowhere", headers=KEY, timeout=5).status_code == 404


def test_a_fault_that_happens_once_lets_the_next_try_through(sandbox):
    body, key = charge_body("tok_5xx_once"), uuid4().hex
    assert [charge(sandbox, body, key=key).status_code for _ in range(2)] == [500, 201]


def test_a_kill_loses_nothing_that_was_answered(tmp_path):
    own = start_sandbox(tmp_path)
    key, body = uuid4().hex, charge_body()
    answered = charge(own, body, key=key).json()
    own.program.kill()
    own = start_sandbox(tmp_path)
    try:
        assert own.entries("/payments/charges", key=key) == [answered]
        assert charge(own, body, key=key).headers["Idempotent-Replayed"] == "true"
    finally:
        own.program.end(within_seconds=5)


def test_a_provider_that_is_down_is_down_for_everybody_and_the_other_is_not(sandbox, settings):
    settings.SANDBOX_URL = sandbox.url
    call_command("sandbox", "mood", "payments", "down", stdout=StringIO())
    try:
        assert charge(sandbox).status_code == 503
        assert requests.get(f"{sandbox.url}/payments/charges", headers=KEY, timeout=5).status_code == 503
        shipment = {"order_id": uuid4().hex, "lines": [{"sku": "WIDGET", "quantity": 1}]}
        assert sandbox.post("/shipping/shipments", shipment, key=uuid4().hex).status_code == 201
    finally:
        sandbox.mood("payments", "ok")
    assert charge(sandbox).status_code == 201


def test_rates_make_a_share_of_the_requests_fail(sandbox):
    sandbox.mood("payments", "ok", **{"5xx": 1.0})
    try:
        assert charge(sandbox).status_code == 500
    finally:
        sandbox.mood("payments", "ok")


@pytest.mark.parametrize("body", [{"mood": "sad"}, {"rates": {"nonsuch": 1}}, {"rates": {"5xx": 2}}, {"rates": 7}])
def test_a_mood_it_does_not_know_is_refused(sandbox, body):
    assert requests.post(f"{sandbox.url}/moods/payments", json=body, timeout=5).status_code == 400


def test_the_command_tells_in_a_sentence_why_a_mood_is_refused(sandbox, settings):
    settings.SANDBOX_URL = sandbox.url

    with pytest.raises(CommandError) as refusal:
        call_command("sandbox", "mood", "payments", "ok", "--rate", "nope=0.1")

    assert str(refusal.value) == "The sandbox refused: nope=0.1 is not a fault and a share from 0 to 1."


def test_the_command_reads_the_ledger_and_says_when_nobody_answers(sandbox, settings, capsys):
    settings.SANDBOX_URL = sandbox.url
    charge(sandbox)
    call_command("sandbox", "ledger")
    told = json.loads(capsys.readouterr().out)
    assert told["charges"]["captured"] >= 1
    assert "violations" in told
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    with pytest.raises(CommandError, match="does not answer"):
        call_command("sandbox", "ledger")


class Receiver:
    """Takes webhooks and remembers them."""

    def __init__(self) -> None:
        self.events: list[tuple[bytes, str]] = []
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                events.append((raw, self.headers["Webhook-Signature"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of_key(self, key: str) -> list[tuple[bytes, str]]:
        return [event for event in self.events if json.loads(event[0])["data"]["idempotency_key"] == key]


@pytest.fixture
def receiver(sandbox):
    running = Receiver()
    sandbox.send_webhooks_to(running.url)
    yield running
    sandbox.send_webhooks_to("")
    running.server.shutdown()
    running.server.server_close()


@pytest.mark.parametrize(("method", "times"), [("tok_ok", 1), ("tok_webhook_five", 5), ("tok_drop_reply", 1)])
def test_webhooks_are_signed_as_the_service_reads_them(sandbox, receiver, method, times):
    key = uuid4().hex
    if method == "tok_drop_reply":
        with pytest.raises(requests.ConnectionError):
            charge(sandbox, charge_body(method), key=key)
    else:
        charge(sandbox, charge_body(method), key=key)
    wait_until(lambda: len(receiver.of_key(key)) >= times, within_seconds=10, what="the webhooks")
    events = receiver.of_key(key)
    assert len({json.loads(raw)["id"] for raw, _ in events}) == 1
    assert len(events) == times
    for raw, header in events:
        verify(raw, header=header)


def test_a_webhook_can_come_before_the_reply_or_never(sandbox, receiver):
    before, never, last = (uuid4().hex for _ in range(3))
    charge(sandbox, charge_body("tok_webhook_before"), key=before)
    assert len(receiver.of_key(before)) == 1
    charge(sandbox, charge_body("tok_webhook_never"), key=never)
    charge(sandbox, key=last)
    wait_until(lambda: receiver.of_key(last) != [], within_seconds=10, what="the webhook sent after it")
    assert receiver.of_key(never) == []


def test_a_webhook_is_under_way_until_it_was_received_or_given_up(sandbox, receiver):
    charge(sandbox, charge_body("tok_webhook_five"), key=(received := uuid4().hex))
    wait_until(lambda: webhooks.under_way(sandbox.url) == 0, within_seconds=10, what="the last webhook")
    assert len(receiver.of_key(received)) == 5

    sandbox.send_webhooks_to(f"http://127.0.0.1:{any_free()}/nobody")
    charge(sandbox)
    assert webhooks.under_way(sandbox.url) == 1
    wait_until(lambda: webhooks.under_way(sandbox.url) == 0, within_seconds=30, what="the end of its three tries")


def test_a_ledger_that_an_older_sandbox_left_behind_goes_on(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    Ledger(path).close()
    with sqlite3.connect(path) as older:
        older.execute("ALTER TABLE refunds DROP COLUMN created_ms")
        older.execute(
            "INSERT INTO refunds (id, idempotency_key, charge_id, amount_minor, currency, status, reason)"
            " VALUES ('re_1', 'key', 'ch_1', 1, 'EUR', 'refunded', '')"
        )
    ledger = Ledger(path)
    assert [entry["created_ms"] for entry in ledger.page("refunds", after="", limit=10)] == [0]
