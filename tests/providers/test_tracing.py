"""The span of a provider call: under the message that it is made for, in the call's own thread."""

import threading

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from outbox import tracing as messages
from providers.errors import OutcomeUnknown, Refused
from providers.gate import Gate
from tests.providers.test_client import SECRET, call, error, reply
from tests.support.spans import spans

pytestmark = pytest.mark.usefixtures("limits")
__all__ = ["spans"]


def test_a_call_is_a_client_span_and_carries_it_to_the_provider(server, spans):
    call(server, reply("201 Created"))

    called = spans.one("POST payments")
    assert called.kind is SpanKind.CLIENT
    assert called.attributes == {
        "peer.service": "payments",
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "url.path": "/things",
        "http.response.status_code": 201,
    }
    context = called.context
    assert f"traceparent: 00-{context.trace_id:032x}-{context.span_id:016x}-" in server.requests[0].decode()
    assert SECRET not in called.to_json()
    assert "k1" not in called.to_json()


@pytest.mark.parametrize(
    ("raw", "raised", "status", "said"),
    [
        (reply("402 No", error("card_declined")), Refused, 402, "card_declined"),
        (reply("503 Busy"), OutcomeUnknown, 503, "answered 503"),
    ],
)
def test_an_error_is_named_as_the_saga_will_see_it(server, spans, raw, raised, status, said):
    with pytest.raises(raised):
        call(server, raw)

    called = spans.one("POST payments")
    assert called.attributes["error.type"] == raised.__name__
    assert called.attributes["http.response.status_code"] == status
    assert (called.status.status_code, called.status.description) == (StatusCode.ERROR, said)
    assert called.events == ()


def test_without_tracing_the_provider_is_told_nothing(server):
    call(server, reply("200 OK"))

    assert "traceparent" not in server.requests[0].decode()


@pytest.mark.django_db(transaction=True)
def test_the_calls_thread_works_in_the_span_of_whoever_submitted_it(spans, monkeypatch):
    gate = Gate("payments")
    assert gate.admit(1) == 1
    with messages.tracer.start_as_current_span("the message's") as own:
        future = gate.submit(lambda: (trace.get_current_span(), threading.current_thread()), ends_at=float("inf"))
    current, thread = future.result(timeout=10)

    assert current is own
    assert thread is not threading.current_thread()
