"""One order is one trace: from POST through every message and step to the e-mail (docs/tracing.md)."""

import pytest
from django.core import mail
from django.test import override_settings
from opentelemetry.trace import SpanKind, StatusCode
from rest_framework.test import APIClient

from orders.models import Order
from outbox.models import OutboxMessage
from tests.support.drive import drive
from tests.support.shop import saga_of
from tests.support.spans import spans

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["spans"]

BODY = {"currency": "EUR", "items": [{"sku": "WIDGET", "quantity": 1}], "payment_method": "tok_ok"}
CALLERS_TRACE = "0af7651916cd43dd8448eb211c80319c"


def post(shop, **headers):
    client = APIClient()
    client.force_authenticate(shop.customer)
    return client.post("/orders", BODY, format="json", headers={"Idempotency-Key": "one", **headers})


def hop(destination: str) -> list[str]:
    return [f"publish {destination}", f"process {destination}"]


WAY_TO_THE_MAIL = [
    "POST /orders",
    *hop("orders.start_fulfilment"),
    *hop("fulfil_order.reserve_stock"),
    *hop("fulfil_order.charge_payment"),
    *hop("fulfil_order.create_shipment"),
    *hop("fulfil_order.confirm_order"),
    *hop("notifications.order_confirmed"),
    "send notifications",
]


def test_an_order_is_one_trace_from_the_request_to_the_mail(shop, spans):
    assert post(shop, traceparent=f"00-{CALLERS_TRACE}-b7ad6b7169203331-01").status_code == 201
    drive()

    assert len(mail.outbox) == 1
    assert spans.path(spans.one("send notifications")) == WAY_TO_THE_MAIL
    assert {f"{span.context.trace_id:032x}" for span in spans.all()} == {CALLERS_TRACE}
    assert {row.headers["traceparent"].split("-")[1] for row in OutboxMessage.objects.all()} == {CALLERS_TRACE}
    assert [span.name for span in spans.all() if span.status.status_code is StatusCode.ERROR] == []
    assert all(not span.links for span in spans.all())


def test_the_spans_name_the_order_the_saga_and_the_step(shop, spans):
    post(shop)
    drive()

    order = Order.objects.get()
    served = spans.one("POST /orders")
    assert (served.kind, served.attributes["http.route"]) == (SpanKind.SERVER, "/orders")
    assert served.attributes["http.response.status_code"] == 201
    assert served.attributes["idempotency.replay"] is False
    assert served.attributes["order.id"] == str(order.pk)
    assert served.attributes["user.id"] == str(shop.customer.pk)
    charged = spans.one("process fulfil_order.charge_payment").attributes
    assert charged["order.id"] == charged["messaging.message.conversation_id"] == str(order.pk)
    assert charged["saga.id"] == str(saga_of(order).pk)
    assert (charged["saga.name"], charged["saga.step"]) == ("fulfil_order", "charge_payment")
    assert not any("ann@example.org" in str(span.attributes) for span in spans.all())


def test_a_replay_says_so_and_names_the_first_order(shop, spans):
    post(shop)
    spans.forget()
    post(shop)

    served = spans.one("POST /orders")
    assert served.attributes["idempotency.replay"] is True
    assert served.attributes["order.id"] == str(Order.objects.get().pk)
    assert [span.name for span in spans.all()] == ["POST /orders"]


def test_a_step_that_is_tried_again_links_and_the_order_stays_one_trace(shop, spans):
    """The second attempt, and its call, have a trace of their own; what follows from it is the order's again."""
    shop.provider.will("charge", "unavailable")
    post(shop)
    drive()

    first, again = spans.named("process fulfil_order.charge_payment")
    assert (first.status.status_code, first.attributes["error.type"]) == (StatusCode.ERROR, "retried")
    assert (first.attributes["saga.attempt"], again.status.status_code) == (1, StatusCode.UNSET)
    assert again.parent is None
    assert spans.linked(again) == [spans.one("publish fulfil_order.charge_payment")]
    order_trace = spans.one("POST /orders").context.trace_id
    assert first.context.trace_id == order_trace != again.context.trace_id
    next_step = spans.one("publish fulfil_order.create_shipment")
    assert next_step.context.trace_id == order_trace
    assert spans.linked(next_step) == [again]
    assert spans.one("send notifications").context.trace_id == order_trace


@pytest.mark.parametrize(
    ("operation", "mood", "step", "error"),
    [
        ("charge", "refuse", "charge_payment", "refused"),
        ("create", "cut", "create_shipment", "unknown"),
        ("create", "refuse", "create_shipment", "refused"),
    ],
)
def test_an_outcome_that_is_no_success_is_an_error_of_its_span(shop, spans, operation, mood, step, error):
    shop.provider.will(operation, mood)
    post(shop)
    drive()

    failed = [span for span in spans.all() if span.status.status_code is StatusCode.ERROR]
    assert [(span.name, span.attributes["error.type"]) for span in failed] == [(f"process fulfil_order.{step}", error)]


def test_a_compensation_that_fails_is_an_error(shop, spans):
    shop.provider.will("create", "refuse")
    shop.provider.always("refund", "refuse")
    post(shop)
    drive()

    undone = spans.one("process fulfil_order.charge_payment.undo")
    assert undone.attributes["error.type"] == "compensation_failed"
    assert undone.attributes["saga.step"] == "charge_payment.undo"


def test_a_mail_that_cannot_be_sent_is_an_error_and_names_no_address(shop, spans):
    with override_settings(EMAIL_BACKEND="tests.orders.test_one_trace.Refusing"):
        post(shop)
        drive(waits=False)

    sent = spans.one("send notifications")
    assert (sent.kind, sent.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert sent.attributes["error.type"] == "OutcomeUnknown"
    assert not any("ann@example.org" in str(span.status.description) for span in spans.all())


class Refusing:
    """A mail server that names the customer in its refusal."""

    def __init__(self, **_: object) -> None: ...

    def send_messages(self, messages) -> int:
        raise OSError(f"nobody takes mail for {messages[0].to[0]}")
