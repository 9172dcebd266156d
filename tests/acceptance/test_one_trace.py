"""One order is one trace, as a collector sees it: real processes, OTLP over HTTP (docs/tracing.md)."""

import pytest

from outbox import operations
from outbox.models import OutboxMessage
from tests.support.otlp import collector

pytestmark = pytest.mark.proof
__all__ = ["collector"]

PROCESSES = ("sandbox", "web", "relay", "worker", "remote-worker")
WIDGET = {"sku": "WIDGET", "quantity": 1}


def hop(destination):
    return [f"publish {destination}", f"process {destination}"]


TO_CHARGE = [
    "POST /orders",
    *hop("orders.start_fulfilment"),
    *hop("fulfil_order.reserve_stock"),
    *hop("fulfil_order.charge_payment"),
]
TO_MAIL = [
    *TO_CHARGE,
    *hop("fulfil_order.create_shipment"),
    *hop("fulfil_order.confirm_order"),
    *hop("notifications.order_confirmed"),
    "send notifications",
]
WEB_PUBLISHES = ["publish console", "publish orders.start_fulfilment"]


@pytest.fixture
def traced(service, collector):
    service.start(
        *PROCESSES,
        environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            # A destination outside, so that the relay has something to send.
            "OUTBOX_CONSOLE": "1",
        },
    )
    return service


def place(service, **body):
    answer = service.place({**WIDGET, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def span_of(collector, order_id, name):
    """The last span of that name in the order's trace or linked to it."""
    found = [span for span in collector.of_order(order_id) if span.name == name]
    return found[-1] if found else None


def mail_of(collector, order_id):
    """The span of the order's mail."""
    notices = {s.span_id for s in collector.of_order(order_id) if s.name == "process notifications.order_confirmed"}
    return next((span for span in collector.spans("send notifications") if span.parent_id in notices), None)


def wait_for_mail(service, collector, order_id):
    service.wait_until(lambda: mail_of(collector, order_id) is not None, within_seconds=60, what="the mail's span")
    served = span_of(collector, order_id, "POST /orders")
    assert mail_of(collector, order_id).trace_id == served.trace_id
    return [span for span in collector.spans() if span.trace_id == served.trace_id]


def test_the_spans_of_an_order_are_one_tree_also_after_a_redelivery_and_a_retry(traced, collector):
    calm, troubled = place(traced), place(traced, payment_method="tok_5xx_once")

    _an_order_is_one_tree(traced, collector, calm)
    _a_retried_step_is_linked_and_the_order_goes_on(traced, collector, troubled)
    _a_redelivered_message_links_to_where_it_was_published(traced, collector, calm)
    _an_orderly_end_flushes(traced, collector)


def _an_order_is_one_tree(service, collector, order_id):
    trace = wait_for_mail(service, collector, order_id)

    assert collector.path(mail_of(collector, order_id)) == TO_MAIL
    calls = {
        span.name: collector.path(span) for span in trace if span.kind == "CLIENT" and span.name.startswith("POST")
    }
    assert calls["POST payments"] == [*TO_CHARGE, "POST payments"]
    assert calls["POST shipping"] == [*TO_CHARGE, *hop("fulfil_order.create_shipment"), "POST shipping"]
    roots = [span for span in trace if not span.parent_id]
    assert [(root.name, root.kind, root.process) for root in roots] == [("POST /orders", "SERVER", "web")]
    assert not any(span.is_error for span in trace)
    assert {span.service for span in trace} == {"orders"}
    _each_process_spoke_for_itself(trace)
    charged = span_of(collector, order_id, "process fulfil_order.charge_payment")
    assert charged.attributes["saga.step"] == "charge_payment"
    assert charged.attributes["messaging.message.conversation_id"] == order_id


def _each_process_spoke_for_itself(trace):
    processes = {(span.name, span.process) for span in trace}
    assert {
        ("publish orders.start_fulfilment", "web"),
        ("process orders.start_fulfilment", "worker"),
        ("process fulfil_order.confirm_order", "worker"),
        ("process fulfil_order.charge_payment", "remote-worker"),
        ("POST payments", "remote-worker"),
        ("send notifications", "remote-worker"),
        ("send console", "relay"),
    } <= processes


def _a_retried_step_is_linked_and_the_order_goes_on(service, collector, order_id):
    trace = wait_for_mail(service, collector, order_id)

    first, again = [s for s in collector.of_order(order_id) if s.name == "process fulfil_order.charge_payment"]
    assert (first.is_error, first.attributes["error.type"]) == (True, "unknown")
    assert collector.path(first) == TO_CHARGE
    assert (again.is_error, again.parent_id) == (False, "")
    assert collector.linked(again) == ["publish fulfil_order.charge_payment"]
    calls = [span.name for span in collector.spans() if span.parent_id == again.span_id and span.kind == "CLIENT"]
    assert calls == ["GET payments", "POST payments"]
    [onward] = [span for span in trace if span.name == "publish fulfil_order.create_shipment"]
    assert onward.links == (again.span_id,)


def _a_redelivered_message_links_to_where_it_was_published(service, collector, order_id):
    row = OutboxMessage.objects.get(destination="orders.start_fulfilment", correlation_id=order_id)
    assert operations.requeue([row.key], who=None, reason="delivered twice on purpose", sent=True) == 1

    def delivered():
        return [s for s in collector.of_order(order_id) if s.name == "process orders.start_fulfilment"]

    service.wait_until(lambda: len(delivered()) == 2, within_seconds=60, what="the second delivery's span")
    again = delivered()[-1]
    assert again.parent_id == ""
    assert collector.linked(again) == ["publish orders.start_fulfilment"]
    assert again.attributes["outbox.duplicate"] is True
    assert not again.is_error


def _an_orderly_end_flushes(service, collector):
    """What would wait for a minute is sent when the processes end."""
    service.stop(*PROCESSES)
    slow = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    service.start("sandbox", "web", "relay", "worker", "remote-worker", environment=slow)
    order_id = place(service)
    service.wait_until(lambda: _mail_was_sent(order_id), within_seconds=60, what="the mail")
    assert mail_of(collector, order_id) is None
    service.stop("worker", "remote-worker", "web", "relay")

    assert collector.path(mail_of(collector, order_id)) == TO_MAIL


def _mail_was_sent(order_id):
    return OutboxMessage.objects.filter(
        destination="notifications.order_confirmed", correlation_id=order_id, state="done"
    ).exists()
