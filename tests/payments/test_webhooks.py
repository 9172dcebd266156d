"""Webhooks: signed, recent, once; a hint and never a fact."""

import hashlib
import hmac
import json
import time
from uuid import uuid4

import pytest

from outbox.consumer import deliver
from outbox.models import InboxMessage, OutboxMessage
from payments.models import Payment, PaymentStatus
from providers.gate import Gate
from tests.payments.builders import forget, noted, row

URL = "/webhooks/payments"
DESTINATION = "payments.reread"
pytestmark = pytest.mark.django_db


def event(key: str, event_id: str = "", **more) -> bytes:
    return json.dumps({"id": event_id or f"evt_{uuid4().hex}", "data": {"idempotency_key": key}} | more).encode()


def signature(raw: bytes, *, secret: str = "sandbox-webhook-secret", age: float = 0) -> str:
    stamp = str(int(time.time() - age))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def send(client, raw: bytes, header: str | None = None):
    header = signature(raw) if header is None else header
    return client.post(URL, raw, content_type="application/json", headers={"Webhook-Signature": header})


def hints() -> int:
    return OutboxMessage.objects.filter(destination=DESTINATION).count()


def test_a_signed_webhook_is_answered_at_once_and_changes_no_payment(client):
    intent = noted()
    raw = event(intent.provider_key, type="charge.captured", amount_minor=1)
    answer = send(client, raw)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert row(intent).status == PaymentStatus.PENDING
    [message] = OutboxMessage.objects.filter(destination=DESTINATION)
    assert message.payload == {"paymentId": str(intent.payment_id)}
    assert message.correlation_id == intent.order_id


def test_a_replayed_event_is_answered_and_has_no_second_effect(client):  # I5
    raw = event(noted().provider_key, "evt_1")
    answers = [send(client, raw).json() for _ in range(5)]
    assert answers == [{"received": True}] + [{"received": False}] * 4
    assert (hints(), InboxMessage.objects.filter(consumer="payments.webhooks").count()) == (1, 1)


def test_two_events_about_one_payment_are_two_hints(client):
    intent = noted()
    for _ in range(2):
        send(client, event(intent.provider_key))
    assert hints() == 2


def test_an_event_about_somebody_elses_key_is_answered_and_leaves_nothing(client):
    for raw in (event("not-ours"), b'{"id": "evt_2"}', b'{"id": "evt_3", "data": {"idempotency_key": "\\u0000"}}'):
        answer = send(client, raw)
        assert (answer.status_code, answer.json()) == (200, {"received": False})
    assert (hints(), InboxMessage.objects.count()) == (0, 0)


FORGED = {
    "no signature": lambda raw: "",
    "another secret": lambda raw: signature(raw, secret="guessed"),
    "other bytes": lambda raw: signature(raw + b" "),
    "too old": lambda raw: signature(raw, age=301),
    "from the future": lambda raw: signature(raw, age=-301),
    "no time": lambda raw: signature(raw).partition(",")[2],
    "two times": lambda raw: f"t=1,{signature(raw)}",
    "a time that is no number": lambda raw: signature(raw).replace("t=", "t=x"),
    "another script's digits": lambda raw: f"t=١,{signature(raw).partition(',')[2]}",
    "an older scheme": lambda raw: signature(raw).replace("v1=", "v0="),
    "an empty signature": lambda raw: f"t={int(time.time())},v1=",
    "not ASCII": lambda raw: f"t={int(time.time())},v1=ä",
    "many parts": lambda raw: ",".join(["v1=aa"] * 2_000),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_or_stale_webhook_is_refused_and_leaves_nothing(client, forge):
    raw = event(noted().provider_key)
    answer = send(client, raw, forge(raw))
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("webhook-signature-invalid")
    assert (hints(), InboxMessage.objects.count()) == (0, 0)


def test_while_the_secret_changes_one_of_two_signatures_is_enough(client):
    raw = event(noted().provider_key)
    old = signature(raw, secret="the-old-secret").partition(",")[2]
    assert send(client, raw, f"{signature(raw)},{old}").status_code == 200


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'"x"', b"{}", b'{"id": 7}', b'{"id": ""}', b"\xff", b"[" * 5_000])
def test_a_signed_body_that_is_no_event_is_a_bad_request(client, raw):
    assert send(client, raw).status_code == 400
    assert hints() == 0


def test_a_huge_body_is_refused(client):
    assert send(client, b" " * 70_000 + event("key")).status_code == 413


def test_only_post_is_answered(client):
    assert client.get(URL).status_code == 405


@pytest.fixture
def rung(monkeypatch):
    monkeypatch.setattr("outbox.bell._send", lambda destination: True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rung")
class TestReread:
    def test_what_the_provider_says_becomes_the_fact(self, client, served, published):
        intent = noted()
        charge(served, intent)
        send(client, event(intent.provider_key, amount_minor=1, status="declined"))
        assert deliver(DESTINATION) == 1
        assert (row(intent).status, row(intent).captured_minor) == (PaymentStatus.CAPTURED, 2_997)
        assert [kind for kind, _, _ in published()] == ["payment.webhook_received.v1", "payment.charged.v1"]

    def test_a_webhook_that_lies_changes_nothing(self, client, served):
        intent = noted()
        send(client, event(intent.provider_key, type="charge.captured"))
        deliver(DESTINATION)
        assert row(intent).status == PaymentStatus.PENDING
        assert OutboxMessage.objects.get(destination=DESTINATION).state == "done"

    def test_a_decline_found_that_way_is_recorded(self, client, served):
        intent = noted(payment_method="tok_declined")
        charge(served, intent)
        send(client, event(intent.provider_key))
        deliver(DESTINATION)
        assert (row(intent).status, row(intent).reason) == (PaymentStatus.DECLINED, "card_declined")

    def test_a_capture_after_we_gave_up_is_late_and_published(self, client, served, published):  # F13
        intent = noted()
        forget(intent)
        charge(served, intent)
        send(client, event(intent.provider_key))
        deliver(DESTINATION)
        assert row(intent).status == PaymentStatus.LATE
        assert [kind for kind, _, _ in published()] == ["payment.webhook_received.v1", "payment.charged_late.v1"]

    def test_a_question_that_cannot_be_asked_comes_again(self, client, served):
        intent = noted()
        charge(served, intent)
        served.mood("payments", "dead")
        try:
            send(client, event(intent.provider_key))
            deliver(DESTINATION)
        finally:
            served.mood("payments", "ok")
        message = OutboxMessage.objects.get(destination=DESTINATION)
        assert (message.state, message.attempts) == ("open", 1)
        assert row(intent).status == PaymentStatus.PENDING
        OutboxMessage.objects.update(due_at="2020-01-01T00:00:00Z")
        deliver(DESTINATION)
        assert row(intent).status == PaymentStatus.CAPTURED

    def test_a_hint_that_ended_dead_keeps_no_later_one_of_that_payment_waiting(self, client, served):
        intent = noted()
        charge(served, intent)
        send(client, event(intent.provider_key))
        OutboxMessage.objects.update(state="dead")
        send(client, event(intent.provider_key))
        assert deliver(DESTINATION) == 1
        assert row(intent).status == PaymentStatus.CAPTURED
        assert sorted(OutboxMessage.objects.filter(destination=DESTINATION).values_list("state", flat=True)) == [
            "dead",
            "done",
        ]

    def test_while_the_breaker_is_open_nothing_is_asked(self, client, served):
        intent = noted()
        charge(served, intent)
        Gate("payments").report(successes=0, failures=100)
        send(client, event(intent.provider_key))
        assert deliver(DESTINATION) == 0
        assert OutboxMessage.objects.get(destination=DESTINATION).attempts == 0
        assert Payment.objects.get().status == PaymentStatus.PENDING


def charge(served, intent) -> None:
    """The provider has it, whoever asked for it."""
    body = {
        "amount_minor": intent.amount_minor,
        "currency": intent.currency,
        "payment_method": intent.payment_method,
        "order_id": str(intent.order_id),
    }
    served.post("/payments/charges", body, key=intent.provider_key)
