"""F8: hopeless messages: bad JSON, missing order, 10 MB; from outside also unknown type and future version: dead with
its reason; the queue behind it flows; an operator can requeue.
"""

import json
import os
from uuid import uuid4

import kombu
import pytest
import redis
from django.db import transaction
from uuid_utils.compat import uuid7

from local.folder import Folder
from local.rabbitmq import RabbitMQ, find
from orders.events import OrderCreated
from orders.models import Order
from orders_project.celery import QUEUES
from outbox import operations
from outbox.exceptions import PayloadTooLarge
from outbox.models import OperatorAct, OutboxMessage
from outbox.publisher import publish
from sagas.models import Saga
from tests.acceptance import books, crowd
from tests.orders.builders import place
from tests.payments.test_webhooks import hints, send
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import START, outcome, stock

from .rest import assert_all_is_well

pytestmark = pytest.mark.django_db
TEN_MEGABYTES = 10 * 2**20


def forged(**payload):
    """A message as only a mistake of ours, or somebody with the database's password, could have written it."""
    return OutboxMessage.objects.create(
        message_id=uuid7(),
        destination=START,
        type=OrderCreated.type,
        aggregate_type="order",
        aggregate_id=uuid4(),
        correlation_id=uuid4(),
        payload=payload,
    )


def dead():
    return dict(OutboxMessage.objects.filter(state="dead").values_list("key", "last_error"))


class TestInside:
    def test_f8_a_message_about_a_missing_order_is_dead_at_once_and_its_neighbours_are_done(self, shop):
        """F8, I4"""
        hopeless = forged(orderId=str(uuid4()))
        orders = [shop.order() for _ in range(3)]

        drive()

        assert list(dead()) == [hopeless.key]
        assert "no such order" in dead()[hopeless.key]
        hopeless.refresh_from_db()
        # Once in the batch, once alone: nothing is gained by trying what can never succeed.
        assert hopeless.attempts == 2
        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}

    def test_f8_requeued_by_a_person_after_the_mending_it_is_done(self, shop):
        """F8: one act; the order that was restored is fulfilled."""
        order_id = uuid4()
        hopeless = forged(orderId=str(order_id))
        drive()
        restored = place(shop.customer, ("WIDGET", 1), order_id=order_id)
        Saga.objects.all().delete()
        OutboxMessage.objects.filter(aggregate_id=order_id).delete()

        assert operations.requeue([hopeless.key], who=shop.customer, reason="restored from the backup") == 1
        drive()

        assert dead() == {}
        assert outcome(restored) == ("confirmed", "", "completed")
        assert list(OperatorAct.objects.values_list("verb", "target_id")) == [("requeue", str(hopeless.key))]

    @pytest.mark.parametrize(
        ("payload", "reason"),
        [
            ({}, "KeyError"),
            ({"orderId": None}, "TypeError"),
            ({"orderId": "not an id"}, "ValueError"),
            ({"orderId": ["a", {"b": "c"}]}, "AttributeError"),
            ({"orderId": "x" * TEN_MEGABYTES}, "ValueError"),
        ],
        ids=["empty", "null", "no id", "nested", "10 MB"],
    )
    def test_f8_a_payload_that_nobody_can_read_ends_dead_with_its_reason(self, shop, payload, reason):
        """F8, I11: ten attempts, alone; what stands behind it flows."""
        hopeless = forged(**payload)
        order = shop.order()

        drive()

        assert list(dead()) == [hopeless.key]
        assert dead()[hopeless.key].startswith(reason)
        assert len(dead()[hopeless.key]) <= 1_000
        assert outcome(order) == ("confirmed", "", "completed")
        assert stock() == (9, 0)

    def test_f8_a_payload_of_ten_megabytes_is_refused_where_it_is_published(self, shop):
        """F8: its cause is undone with it, and nothing of it is in the outbox."""
        big = OrderCreated(order_id="x" * TEN_MEGABYTES, customer_id="1", total_amount="1.00", currency="EUR", items=())

        with pytest.raises(PayloadTooLarge), transaction.atomic():
            publish(big, aggregate_id=uuid4(), sequence=1, correlation_id=uuid4())

        assert OutboxMessage.objects.count() == 0

    def test_f8_an_unknown_type_and_a_future_version_in_our_own_outbox_are_left_alone(self, shop):
        """F8, F11: newer code wrote them, newer code will read them: no attempt, no death, nobody held up."""
        future = forged(orderId=str(uuid4()))
        OutboxMessage.objects.filter(pk=future.pk).update(type="order.created.v2")
        order = shop.order()

        for _ in range(12):
            deliver(START)
            time_passes()
        drive(turns=500, waits=False)

        future.refresh_from_db()
        assert (future.state, future.attempts) == ("open", 0)
        assert Saga.objects.filter(subject_id=order.pk).exists()


class TestFromOutside:
    @pytest.mark.parametrize(
        "event",
        [
            {"type": "customer.created", "data": {"id": "cus_1"}},
            {"type": "charge.captured", "version": 99, "data": [{"idempotencyKey": "of another shape"}]},
            {"type": {"name": "charge"}, "data": {"idempotency_key": {"value": 1}}},
            {"kind": "no type at all"},
        ],
    )
    def test_f8_a_signed_event_of_an_unknown_type_or_version_is_answered_and_leaves_nothing(self, client, event):
        """F8: the provider is told "received", or it would send the same thing for days."""
        answer = send(client, json.dumps({"id": f"evt_{uuid4().hex}"} | event).encode())

        assert (answer.status_code, answer.json()) == (200, {"received": False})
        assert hints() == 0

    @pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[]", b'{"id": 7}', b"null", b"[" * 50_000])
    def test_f8_signed_nonsense_is_a_400(self, client, raw):
        """F8: no 5xx, whatever it is."""
        assert send(client, raw).status_code == 400
        assert hints() == 0

    def test_f8_ten_megabytes_are_refused(self, client):
        """F8"""
        assert send(client, json.dumps({"id": "x" * TEN_MEGABYTES}).encode()).status_code in {400, 413}
        assert hints() == 0


NOISE = [
    b"not json at all \xff\xfe\x00",
    b"{}",
    b"[1, 2, 3]",
    b"null",
    b'{"body": "!!!", "headers": {}, "properties": {}, "content-type": "application/x-python-serialize"}',
]


@pytest.mark.proof
class TestOnTheBroker:
    def test_f8_garbage_in_every_queue_of_valkey_costs_rings_at_most(self, service):
        """F8, I4: raw bytes, tasks nobody knows, pickles, 10 MB: the same workers go on, every order ends."""
        service.start()
        before = crowd.place_all(service, 4)
        with redis.Redis.from_url(service.valkey.url()) as client:
            for queue in QUEUES:
                for noise in [*NOISE, b'{"x": "' + b"y" * TEN_MEGABYTES + b'"}']:
                    client.lpush(queue, noise)
        with kombu.Connection(service.valkey.url()) as connection:
            send_strange_tasks(connection)

        self.assert_orders_end(service, before)

    def test_f8_garbage_in_every_queue_of_rabbitmq_costs_rings_at_most(self, service):
        """F8, I4: the same on the other broker."""
        if find() is None:
            assert os.environ.get("CI") != "true", (
                "rabbitmq-server is not installed, and CI must prove this on RabbitMQ"
            )
            pytest.skip("rabbitmq-server is not installed")
        node = RabbitMQ(Folder(service.stack.folder.path / "rabbitmq"))
        try:
            node.start()
            service.start(environment={"CELERY_BROKER_URL": node.url()})
            before = crowd.place_all(service, 4)
            with kombu.Connection(node.url()) as connection:
                for queue in QUEUES:
                    for noise in [*NOISE, b"y" * TEN_MEGABYTES]:
                        send_raw(connection, queue, noise)
                send_strange_tasks(connection)
            self.assert_orders_end(service, before)
        finally:
            service.stack.kill()
            node.end()

    def assert_orders_end(self, service, before):
        pids = {name: program.pid for name, program in service.stack.programs.items()}
        placed = before + crowd.place_all(service, 12)

        assert_all_is_well(service)

        assert len(set(placed)) == 16
        assert Order.objects.exclude(status="pending").count() == 16
        running = {name: program.pid for name, program in service.stack.programs.items() if program.is_running}
        assert running == pids, "the garbage ended a process"
        assert books.open_messages() == 0


def send_raw(connection, queue, body):
    """Bytes with the headers of a Celery task, or of nothing known."""
    producer = connection.Producer(auto_declare=False)
    for content_type in ("application/json", "application/x-python-serialize", "text/unheard-of"):
        producer.publish(
            body,
            routing_key=queue,
            content_type=content_type,
            content_encoding="binary",
            headers={"task": "outbox.deliver"},
        )


def send_strange_tasks(connection):
    """Tasks in Celery's own form: one that nobody knows, and ours with arguments that mean nothing."""
    producer = connection.Producer(auto_declare=False)
    for queue in QUEUES:
        for task, args in [
            ("no.such.task", ["x"]),
            ("outbox.deliver", ["no.such.destination"]),
            ("outbox.deliver", []),
            ("outbox.deliver", [{"a": [None]}, 7, "x" * 100_000]),
            ("outbox.run_tick", ["no.such.tick"]),
        ]:
            producer.publish(
                (args, {}, {}),
                serializer="json",
                routing_key=queue,
                headers={"lang": "py", "task": task, "id": str(uuid4()), "argsrepr": "", "kwargsrepr": ""},
            )
