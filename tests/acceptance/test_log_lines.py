"""What each kind of process writes: one JSON line per event, with the ids it is about, and nothing personal."""

import json

import pytest
from django.db import connection

from tests.support.otlp import collector

pytestmark = pytest.mark.proof
__all__ = ["collector"]

PROCESSES = ("sandbox", "web", "relay", "worker", "remote-worker")
# Nobody listens there, so the relay has something to say about one message.
DEAD_BROKER = "amqp://guest:guest@127.0.0.1:1/"
FORGED = "ada@example.org"
REFUSE = f"""
CREATE FUNCTION refuse_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION E'no room for {FORGED}\\n{{"event": "forged", "level": "info"}}'; END $$
"""


@pytest.fixture
def refusing():
    """Makes Postgres refuse every insert into a table, with a customer's address in a message of several lines."""
    tables = []
    with connection.cursor() as cursor:
        cursor.execute(REFUSE)

        def refuse(table):
            tables.append(table)
            cursor.execute(
                f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_for_the_test()"
            )

        yield refuse
        for table in tables:
            cursor.execute(f"DROP TRIGGER refuse ON {table}")
        cursor.execute("DROP FUNCTION refuse_for_the_test()")


@pytest.fixture
def written(service):
    """What a process wrote so far: every line of it, parsed."""

    def lines(process):
        text = (service.stack.folder.path / "logs" / f"{process}.log").read_text()
        assert FORGED not in text
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    return lines


def test_each_process_names_what_it_works_on(service, collector, refusing, written):
    service.start(
        *PROCESSES,
        environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "LOG_FORMAT": "json",
            "RABBITMQ_URL": DEAD_BROKER,
        },
    )
    refusing("notifications_notification")
    order_id, trace_id = _place(service, written, payment_method="tok_5xx_once")

    _the_remote_worker_names_the_message_that_it_calls_for(service, written, order_id, trace_id)
    _the_relay_names_what_it_could_not_send(service, written, order_id, trace_id)
    refusing("sagas_saga")
    _the_worker_names_what_failed(service, written)
    refusing("orders_orderline")
    _the_web_names_the_request_that_failed(service, written)


def wait_for(service, written, process, event, **ids):
    """The first line of that event about these ids."""

    def found():
        return [one for one in written(process) if one["event"] == event and ids.items() <= one.items()]

    service.wait_until(lambda: bool(found()), within_seconds=60, what=f"a line {event} of {process} about {ids}")
    return found()[0]


def _place(service, written, **body):
    answer = service.place({"sku": "WIDGET", "quantity": 1, **body})
    assert answer.status_code == 201, answer.text
    order_id = answer.json()["id"]
    line = wait_for(service, written, "web", "request", order_id=order_id)
    assert (line["route"], line["status"], line["correlation_id"]) == ("/orders", 201, order_id)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert line["user_id"] is not None
    assert len(line["trace_id"]) == 32
    return order_id, line["trace_id"]


def _the_remote_worker_names_the_message_that_it_calls_for(service, written, order_id, trace_id):
    called = wait_for(service, written, "remote-worker", "provider.call_failed", order_id=order_id)
    assert called["trace_id"] == trace_id
    assert (called["provider"], called["call"]) == ("payments", "POST payments")
    assert called["destination"] == "fulfil_order.charge_payment"
    stepped = wait_for(service, written, "remote-worker", "saga.step_unknown", order_id=order_id)
    assert {name: stepped[name] for name in ("saga_id", "message_id", "correlation_id", "trace_id")} == {
        name: called[name] for name in ("saga_id", "message_id", "correlation_id", "trace_id")
    }
    failed = wait_for(service, written, "remote-worker", "outbox.work_failed", order_id=order_id)
    assert failed["destination"] == "notifications.order_confirmed"
    _has_a_masked_traceback(failed)


def _the_relay_names_what_it_could_not_send(service, written, order_id, trace_id):
    paused = wait_for(service, written, "relay", "outbox.destination_paused", order_id=order_id)
    assert (paused["destination"], paused["correlation_id"]) == ("rabbitmq", order_id)
    assert paused["message_id"]
    assert paused["trace_id"] == trace_id


def _the_worker_names_what_failed(service, written):
    order_id, trace_id = _place(service, written)
    failed = wait_for(service, written, "worker", "outbox.work_failed", order_id=order_id)
    assert (failed["destination"], failed["trace_id"]) == ("orders.start_fulfilment", trace_id)
    assert failed["message_id"]
    assert "saga_id" not in failed
    _has_a_masked_traceback(failed)


def _the_web_names_the_request_that_failed(service, written):
    answer = service.place({"sku": "WIDGET", "quantity": 1})
    assert answer.status_code == 500
    lines = [one for one in written("web") if one.get("request_id") == answer.headers["X-Request-ID"]]
    assert {"order_id"} & {name for line in lines for name in line} == set()
    [told] = [line for line in lines if "exception" in line]
    _has_a_masked_traceback(told)
    assert len({line["trace_id"] for line in lines}) == 1


def _has_a_masked_traceback(line):
    """In one line, whatever Postgres put into its message."""
    assert line["exception"].startswith("Traceback")
    assert "no room for ***" in line["exception"]
    assert '\n{"event": "forged"' in line["exception"]
    assert line["event"] != "forged"
