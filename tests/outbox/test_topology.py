"""`manage.py topology` on a real RabbitMQ: makes what is missing, changes nothing that stands, says what differs."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from amqp.exceptions import NotFound
from django.core.management import CommandError, call_command

from outbox import topology
from outbox.rabbitmq import EXCHANGE
from tests.support.rabbit import ON_ONE_NODE

pytestmark = ON_ONE_NODE


@pytest.fixture
def work_queue(settings, subscriber):
    """A work queue's name that no other test uses, known to the settings."""
    name = f"test-{uuid4()}.order-created.q"
    settings.OUTBOX = {
        **settings.OUTBOX,
        "DESTINATIONS": {"rabbitmq": {"BACKEND": "", "OPTIONS": {"url": subscriber.url}}},
        "WORK_QUEUES": {name: ["order.created.*"]},
    }
    return name


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("topology", *arguments, stdout=out)
    return out.getvalue()


def fails(*arguments: str) -> tuple[int, str, str]:
    """The exit code, what it printed, and why."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("topology", *arguments, stdout=out)
    return caught.value.returncode, out.getvalue(), str(caught.value)


def stands(subscriber, queue) -> bool:
    try:
        subscriber.channel.queue_declare(queue, passive=True)
    except NotFound:
        return False
    return True


def test_what_is_declared_and_how_it_stands_is_told_to_programs(work_queue, subscriber):
    declared = json.loads(run("show", "--json"))
    assert f"quorum queue {work_queue}" in [part["part"] for part in declared]
    code, said, _ = fails("check", "--json")
    assert code == 1
    states = {part["part"]: part["state"] for part in json.loads(said)}
    assert states.keys() == {part["part"] for part in declared}
    assert states[f"quorum queue {work_queue}"] == "missing"
    assert fails("apply", "--json")[0] == 2
    assert not stands(subscriber, work_queue)


def test_apply_makes_what_check_misses_and_a_second_time_nothing(work_queue, subscriber):
    code, said, why = fails("check")
    assert (code, said.count("missing")) == (1, 3 + (EXCHANGE + "\n" in said and "missing      topic" in said))
    assert why.endswith("parts are not as declared.")

    said = run("apply", "--dry-run")
    assert f"would make  quorum queue {work_queue}\n" in said
    assert not stands(subscriber, work_queue)

    assert f"made  quorum queue {work_queue}\n" in run("apply")
    said = run("check")
    assert (said.count("as declared"), f"quorum queue {work_queue}: 0 messages, 0 consumers" in said) == (4, True)
    assert run("apply") == "0 parts made, 4 stood.\n"


def test_a_rejected_event_reaches_the_dead_letters_and_none_is_lost(work_queue, subscriber):
    run("apply")
    subscriber.exchange = EXCHANGE
    subscriber.channel.basic_publish(topology.amqp.Message("{}"), EXCHANGE, "order.created.v1")
    subscriber.channel.basic_publish(topology.amqp.Message("{}"), EXCHANGE, "order.confirmed.v1")
    waiting = _wait(subscriber, work_queue)

    subscriber.channel.basic_reject(waiting.delivery_tag, requeue=False)

    dead = _wait(subscriber, work_queue.replace(".q", ".dlq"))
    assert (dead.delivery_info["routing_key"], dead.headers["x-first-death-reason"]) == ("order.created.v1", "rejected")
    assert subscriber.channel.basic_get(work_queue) is None


def _wait(subscriber, queue):
    """Dead lettering is the broker's own work: it takes a moment."""
    for _ in range(500):
        if message := subscriber.channel.basic_get(queue):
            return message
        subscriber.channel.queue_declare(queue, passive=True)
    raise AssertionError(f"nothing came to {queue}")


def test_a_queue_that_stands_otherwise_is_named_refused_and_left_alone(work_queue, subscriber):
    [wanted] = [part for part in topology.parts({work_queue: []}) if part.name == work_queue]
    subscriber.channel.queue_declare(
        work_queue, durable=True, auto_delete=False, arguments={**wanted.arguments, "x-delivery-limit": 3}
    )

    code, _, why = fails("apply")

    assert code == 1
    assert why.startswith("Nothing was changed, because these stand there otherwise:")
    assert f"different    quorum queue {work_queue}: inequivalent arg 'x-delivery-limit'" in why
    assert not stands(subscriber, work_queue.replace(".q", ".dlq"))
    code, said, _ = fails("check")
    assert (code, f"different    quorum queue {work_queue}" in said) == (1, True)
    assert fails("apply", "--dry-run")[0] == 1


def test_show_needs_no_broker(settings):
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {}}

    said = run("show")

    for queue in ("inventory.order-created", "payment.order-created"):
        assert f"quorum queue {queue}.q\n" in said
        assert f"quorum queue {queue}.dlq\n" in said
        assert f"    x-dead-letter-exchange = {queue}.dlx\n" in said
    assert said.count("    x-dead-letter-strategy = at-least-once\n    x-overflow = reject-publish\n") == 2
    assert said.count(f"    bound to {EXCHANGE} for order.created.*\n") == 2
    assert "x-message-ttl" not in said


@pytest.mark.parametrize("verb", ["apply", "check"])
def test_without_a_broker_the_status_is_2(settings, verb):
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {}}
    assert fails(verb)[::2] == (2, "RABBITMQ_URL is not set: there is no broker to ask.")

    nobody = {"BACKEND": "", "OPTIONS": {"url": "amqp://guest:guest@127.0.0.1:1//"}}
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"rabbitmq": nobody}}
    code, _, why = fails(verb)
    assert (code, why) == (2, "RabbitMQ: [Errno 111] Connection refused")
