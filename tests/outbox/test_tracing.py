"""Spans of messages: in the message's own trace, alone or in a batch; linked when somebody waited or worked in vain."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from opentelemetry.trace import SpanKind, StatusCode

from outbox import consumer, tracing
from outbox.exceptions import Hopeless, MessageRejected, RetryLater
from outbox.models import OutboxMessage
from outbox.relay import send_due
from outbox.routing import Outside
from tests.support.spans import spans
from tests.support.told import CONSUMER, consuming, make_due, tell

pytestmark = [pytest.mark.django_db(transaction=True)]
__all__ = ["spans"]

PUBLISH = f"publish {CONSUMER}"
PROCESS = f"process {CONSUMER}"


def header(row: OutboxMessage) -> tuple[str, str]:
    """(trace id, span id) as the row carries them"""
    _, trace_id, span_id, _ = row.headers["traceparent"].split("-")
    return trace_id, span_id


def ids(span) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def test_the_row_carries_its_publish_spans_context(spans, ledger):
    message_id = tell("a")

    published = spans.one(PUBLISH)
    row = OutboxMessage.objects.get()
    assert header(row) == ids(published)
    assert published.kind is SpanKind.PRODUCER
    assert published.parent is None
    assert published.attributes == {
        "messaging.system": "outbox",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "create",
        "messaging.destination.name": CONSUMER,
        "messaging.message.id": str(message_id),
        "messaging.message.conversation_id": str(row.correlation_id),
    }


def test_a_message_alone_is_processed_in_its_own_trace(spans, ledger):
    message_id = tell("a")
    consumer.deliver(CONSUMER)

    processed = spans.one(PROCESS)
    assert spans.path(processed) == [PUBLISH, PROCESS]
    assert processed.kind is SpanKind.CONSUMER
    assert processed.links == ()
    assert processed.status.status_code is StatusCode.UNSET
    assert processed.attributes["messaging.operation.type"] == "process"
    assert processed.attributes["messaging.message.id"] == str(message_id)
    assert processed.attributes["outbox.attempt"] == 1
    assert "messaging.batch.message_count" not in processed.attributes


def test_a_batch_links_to_its_messages_and_each_message_goes_on_in_its_own_trace(spans, ledger):
    for text in "abc":
        tell(text)
    consumer.deliver(CONSUMER)

    published = spans.named(PUBLISH)
    [batch] = [span for span in spans.named(PROCESS) if "messaging.batch.message_count" in span.attributes]
    own = [span for span in spans.named(PROCESS) if span is not batch]
    assert batch.parent is None
    assert batch.attributes["messaging.batch.message_count"] == 3
    assert spans.linked(batch) == published
    assert [spans.parent(span) for span in own] == published
    assert [spans.linked(span) for span in own] == [[batch]] * 3
    assert len({span.context.trace_id for span in [batch, *own]}) == 4


def test_what_a_batch_publishes_goes_on_in_the_trace_of_its_message(spans, ledger):
    def echo(messages):
        for message in messages:
            tell(f"{message.payload['text']} again", aggregate_id=message.aggregate_id, sequence=2)

    consuming(echo, "test.echo")
    tell("a")
    tell("b")
    consumer.deliver("test.echo")

    echoed = {row.payload["text"]: header(row)[0] for row in OutboxMessage.objects.filter(destination="test.echo")}
    assert echoed["a again"] == echoed["a"]
    assert echoed["b again"] == echoed["b"]
    assert echoed["a"] != echoed["b"]


def test_a_message_delivered_again_starts_a_trace_of_its_own_that_links_to_the_first(spans, ledger):
    """Requeued after it was done: the inbox knows it, and its span says so."""
    tell("a")
    consumer.deliver(CONSUMER)
    OutboxMessage.objects.update(state="open", finished_at=None, claimed_at=None, attempts=0)
    make_due()
    consumer.deliver(CONSUMER)

    first, again = spans.named(PROCESS)
    assert again.parent is None
    assert spans.linked(again) == [spans.one(PUBLISH)]
    assert again.context.trace_id != first.context.trace_id
    assert again.attributes["outbox.duplicate"] is True
    assert "outbox.duplicate" not in first.attributes
    assert ledger.texts == ["a"]


def test_what_a_second_attempt_publishes_stays_in_the_first_trace_and_links_to_the_attempt(spans, ledger):
    raised = []

    def fails_once(messages):
        if not raised:
            raised.append(True)
            raise RetryLater(after=timedelta(0))
        tell("told", aggregate_id=messages[0].aggregate_id, sequence=2)

    consuming(fails_once, "test.fails_once")
    tell("a")
    spans.forget()
    consumer.deliver("test.fails_once")
    make_due()
    consumer.deliver("test.fails_once")

    first, again = spans.named("process test.fails_once")
    assert (first.status.status_code, first.attributes["error.type"]) == (StatusCode.ERROR, "RetryLater")
    assert again.status.status_code is StatusCode.UNSET
    assert again.parent is None
    told = spans.named(PUBLISH)[-1]
    assert told.context.trace_id == first.context.trace_id != again.context.trace_id
    assert spans.linked(told) == [again]


def test_a_scheduled_message_links_too(spans, ledger):
    tell("later", scheduled_for=timezone.now() + timedelta(hours=1))
    make_due()
    consumer.deliver(CONSUMER)

    processed = spans.one(PROCESS)
    assert processed.parent is None
    assert spans.linked(processed) == [spans.one(PUBLISH)]


def test_one_that_raised_is_an_error_of_its_own_span_and_of_its_batch(spans, ledger):
    ledger.raises["b"] = ValueError("no such thing, says ada@example.org")
    tell("a")
    tell("b")
    consumer.deliver(CONSUMER)

    failed = spans.named(PROCESS)
    assert [span.attributes["error.type"] for span in failed] == ["ValueError"] * 3
    assert {span.status.description for span in failed} == {"ValueError: no such thing, says ***"}


def test_a_dead_message_says_so(spans, ledger):
    ledger.raises["a"] = Hopeless("never")
    tell("a")
    consumer.deliver(CONSUMER)

    assert spans.one(PROCESS).attributes["error.type"] == "dead"
    assert spans.one(PROCESS).status.status_code is StatusCode.ERROR


class Witness:
    """A transport that rejects what it is told to."""

    def __init__(self, rejects=()) -> None:
        self.rejects = rejects
        self.headers: list[dict[str, str]] = []

    def send(self, messages):
        self.headers += [message.headers for message in messages]
        return [MessageRejected("too large") if m.payload["text"] in self.rejects else None for m in messages]

    def close(self) -> None: ...


@pytest.fixture
def outside(settings):
    backend = "tests.support.witness.transport"
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"partner": {"BACKEND": f"{backend}.T", "TYPES": ["test.*"]}}}
    return Outside(name="partner", backend=f"{backend}.T", patterns=("test.*",))


def test_the_relay_sends_the_header_unchanged_and_links_to_the_publish_span(spans, outside):
    tell("a")
    transport = Witness()
    send_due(outside, transport)

    published, sent = spans.one("publish partner"), spans.one("send partner")
    assert sent.kind is SpanKind.CLIENT
    assert sent.attributes["messaging.system"] == "transport"
    assert sent.attributes["messaging.operation.type"] == "send"
    assert spans.parent(sent) == published
    assert spans.linked(sent) == [published]
    assert [tuple(one["traceparent"].split("-")[1:3]) for one in transport.headers] == [ids(published)]


def test_a_batch_that_is_sent_links_to_all_and_a_rejected_one_is_its_own_error(spans, outside):
    tell("a")
    tell("b")
    send_due(outside, Witness(rejects=["b"]))

    batch, *own = spans.named("send partner")
    assert batch.attributes["messaging.batch.message_count"] == 2
    assert spans.linked(batch) == spans.named("publish partner")
    assert [span.attributes.get("error.type") for span in [batch, *own]] == [None, None, "dead"]


def test_off_nothing_is_traced_and_no_header_is_written(ledger):
    tell("a")
    consumer.deliver(CONSUMER)

    assert tracing.is_on() is False
    assert OutboxMessage.objects.get().headers == {}
    assert tracing.spans(tracing.PROCESS, CONSUMER) is tracing.spans(tracing.SEND, "partner")


def test_a_strangers_header_in_a_row_costs_a_trace_and_no_message(spans, ledger):
    tell("a")
    OutboxMessage.objects.update(headers={"traceparent": "00-zz-not-a-trace", "baggage": "user=ada"})
    consumer.deliver(CONSUMER)

    assert spans.one(PROCESS).parent is None
    assert spans.one(PROCESS).links == ()
    assert ledger.texts == ["a"]


def test_a_verb_that_publishes_for_another_order_does_not_borrow_the_trace_of_a_batch(spans, ledger):
    stranger = uuid4()

    def tells_of_another(messages):
        tell("other", aggregate_id=stranger)

    consuming(tells_of_another, "test.other")
    tell("a")
    tell("b")
    spans.forget()
    consumer.deliver("test.other")

    [batch] = [span for span in spans.named("process test.other") if "messaging.batch.message_count" in span.attributes]
    other = [
        span for span in spans.named(PUBLISH) if span.attributes["messaging.message.conversation_id"] == str(stranger)
    ]
    assert [spans.parent(span) for span in other] == [batch] * len(other)
