"""Log lines name the message that is handled; a batch of many does not pretend to be one."""

import io
import json
import logging

import pytest
import structlog

from orders_project import logs
from outbox import consumer, context
from outbox.exceptions import Hopeless
from outbox.models import OutboxMessage
from tests.support.spans import spans
from tests.support.told import CONSUMER, Told, tell

pytestmark = [pytest.mark.django_db(transaction=True)]
__all__ = ["spans"]


@pytest.fixture
def lines(settings):
    """The lines that were written, parsed."""
    settings.LOG_FORMAT, settings.LOG_LEVEL = "json", "INFO"
    root = logging.getLogger()
    before = (root.handlers[:], root.level, structlog.get_config())
    logs.configure()
    stream = io.StringIO()
    for writer in root.handlers:
        if isinstance(writer, logging.StreamHandler) and writer not in before[0]:
            writer.setStream(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before[0], before[1]
    structlog.configure(**before[2])


def test_a_message_that_is_alone_is_named_with_its_traceback_in_one_masked_line(ledger, lines):
    ledger.raises["a"] = ValueError("no room for ada@example.org\n{'event': 'forged'}")
    message_id = tell("a")
    consumer.deliver(CONSUMER)

    [line] = lines()
    row = OutboxMessage.objects.get()
    assert (line["event"], line["message_id"], line["destination"]) == ("outbox.work_failed", str(message_id), CONSUMER)
    assert line["correlation_id"] == line["test_id"] == str(row.aggregate_id)
    assert "no room for ***\n{'event'" in line["exception"]
    assert "order_id" not in line
    assert "trace_id" not in line
    assert "batch_size" not in line


def test_a_batch_says_how_many_and_which_failed(ledger, lines):
    ledger.raises["b"] = ValueError("b")
    ids = [str(tell(text)) for text in "abc"]
    consumer.deliver(CONSUMER)

    [line] = lines()
    assert (line["batch_size"], line["message_ids"]) == (3, ids)
    assert {"message_id", "correlation_id", "order_id"} & line.keys() == set()


def test_a_line_about_one_message_of_a_batch_carries_its_ids_and_its_trace(ledger, lines, spans):
    def look(messages):
        structlog.get_logger("test").info("about all")
        with context.about(messages[1]):
            structlog.get_logger("test").info("about one")

    consumer.consumer("test.looks", event=Told)(look)
    ids = [tell(text) for text in "ab"]
    consumer.deliver("test.looks")

    about_all, about_one = [line for line in lines() if line["event"].startswith("about")]
    batch, _, own = spans.named("process test.looks")
    assert "message_id" not in about_all
    assert about_all["trace_id"] == f"{batch.context.trace_id:032x}"
    assert about_one["message_id"] == str(ids[1])
    assert (about_one["trace_id"], about_one["span_id"]) == (
        f"{own.context.trace_id:032x}",
        f"{own.context.span_id:016x}",
    )


def test_a_dead_message_is_named_once_it_is_buried(ledger, lines):
    ledger.raises["a"] = Hopeless("never")
    message_id = tell("a")
    consumer.deliver(CONSUMER)

    failed, dead = lines()
    assert (dead["event"], dead["message_id"]) == ("outbox.message_dead", str(message_id))
    assert failed["message_id"] == dead["message_id"]
    assert context.log_ids() == {}
