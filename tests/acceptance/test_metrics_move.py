"""Every documented metric, scraped from real processes while everything happens that one counts (S14).

Each process keeps its metrics in a folder of its own and is scraped by itself, as in docker-compose; what is added up
here is what Prometheus adds up. The alerts are asked too: what was broken is what they tell.
"""

import os
import re
import signal
import uuid

import amqp
import pytest
import requests
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from local import rabbitmq
from local.folder import Folder
from local.proxy import COMMIT, Proxy
from local.rabbitmq import RabbitMQ
from orders.models import Order
from outbox import operations
from outbox.models import OutboxMessage
from sagas.models import Saga
from tests.deploy.promql import alerts
from tests.deploy.series import SUFFIXES
from tests.deploy.test_alerts import RULES
from tests.orders_project.test_metrics_documented import documented

from . import crowd
from .observing import Observed

pytestmark = pytest.mark.proof
ORDERS = 24
DLQ = "inventory.order-created.dlq"
HOURS = {
    # The shortest that the system checks allow: a claim outlasts a call and the time to write down its answer.
    "PROVIDER_TOTAL_DEADLINE_SECONDS": "10",
    "PROVIDER_IN_FLIGHT_HORIZON_SECONDS": "10.5",
    "OUTBOX_REMOTE_CLAIM_SECONDS": "16",
    "AUDIT_INTERVAL_SECONDS": "1",
    "RECONCILIATION_INTERVAL_SECONDS": "1",
    "RECONCILIATION_SETTLED_SECONDS": "1",
    "OUTBOX_BACKOFF_CAP_SECONDS": "2",
}
BREAKS = {
    "OutboxMessageDead",
    "BrokerDeadLetters",
    "SagaNeedsAttention",
    "CompensationFailed",
    "SagaRecovered",
    "BreakerOpen",
    "MetricsIncomplete",
}
# Needs an owner that finishes late, to the moment: tests/failures/test_two_runners.py counts it.
ELSEWHERE = {"outbox_stale_claims_total"}
KEY = {"Authorization": "Bearer sandbox-key"}
# What no label may hold: ids of ours, of providers and of Celery, keys, tokens, addresses, long numbers.
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}|\d{5}|@|_[0-9A-Za-z]{16}")


@pytest.fixture
def node(service):
    if rabbitmq.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("rabbitmq-server is not installed, and CI must prove what is told of it")
        pytest.skip("rabbitmq-server is not installed")
    node = RabbitMQ(Folder(service.stack.folder.path / "rabbitmq"))
    try:
        node.start()
        yield node
    finally:
        service.stack.kill()
        node.end()


@pytest.fixture
def postgres(service):
    """The proxy between the web and Postgres."""
    with Proxy.before(service.stack.environment["DATABASE_URL"]) as proxy:
        yield proxy


@pytest.fixture
def observed(service, node, postgres, settings, tmp_path):
    """The whole service at work, with events going to RabbitMQ."""
    environment = {**HOURS, "RABBITMQ_URL": node.url(), "RABBITMQ_EVENT_TYPES": "order.created.*"}
    rabbit = {"BACKEND": "outbox.transports.rabbitmq.RabbitMQTransport", "OPTIONS": {"url": node.url()}}
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"rabbitmq": rabbit}}
    call_command("topology", "apply", verbosity=0)
    observed = Observed(service, tmp_path, environment)
    service.start("sandbox")
    observed.start("web", DATABASE_URL=postgres.url(service.stack.environment["DATABASE_URL"]))
    observed.start("relay", "worker", "remote-worker", "beat")
    observed.look()
    return observed


class Day:
    """What happens to the service; each act waits until the metrics tell of it."""

    def __init__(self, observed, node, postgres):
        self.observed = observed
        self.service = observed.service
        self.node = node
        self.postgres = postgres
        # Alerts whose condition held at the end of some act; how long it must hold is not waited for here.
        self.raised = set()

    def until(self, expression):
        self.service.wait_until(
            lambda: self.observed.tells(expression), within_seconds=120, what=f"metrics that tell {expression}"
        )
        self.note()

    def note(self):
        samples, now = self.observed.samples, self.observed.now
        self.raised |= {rule.name for rule in RULES if alerts.holds(rule, samples, now)}

    def rest(self):
        """Every order but the one that waits for a person has ended, and a scrape tells it."""
        self.service.wait_until(
            lambda: Order.objects.filter(status="pending").count() == 1,
            within_seconds=120,
            what="the other orders' end",
        )
        self.observed.look()

    def orders_end(self):
        crowd.place_all(self.service, ORDERS)
        self.service.wait_until(
            lambda: not Order.objects.filter(status="pending").exists(), within_seconds=120, what="every order's end"
        )
        self.until("saga_unknown_resolved_total > 0")

    def a_client_repeats_itself(self):
        key = str(uuid.uuid4())
        answers = [self.service.place({"sku": "WIDGET", "quantity": quantity}, key=key) for quantity in (1, 1, 2)]
        assert [answer.status_code for answer in answers] == [201, 201, 422]

    def a_commit_is_not_answered(self):
        self.postgres.cut_after(COMMIT, forwards=True)
        assert self.service.place({"sku": "WIDGET", "quantity": 1}).status_code == 201

    def a_compensation_fails(self):
        refused = {"sku": "UNSHIPPABLE", "quantity": 1, "payment_method": "tok_refund_refused"}
        assert self.service.place(refused).status_code == 201
        self.until("saga_needs_attention > 0")

    def a_message_dies(self):
        nobody = uuid.uuid4()
        OutboxMessage.objects.create(
            message_id=uuid.uuid4(),
            destination="orders.start_fulfilment",
            type="order.created.v1",
            aggregate_type="order",
            aggregate_id=nobody,
            correlation_id=nobody,
            payload={"orderId": str(nobody)},
        )
        self.until("outbox_dead > 0")

    def a_message_comes_twice(self):
        done = OutboxMessage.objects.filter(destination="orders.start_fulfilment", state="done")[:3]
        operations.requeue([one.key for one in done], who=None, reason="to see what consumers say", sent=True)
        self.until("inbox_duplicates_total > 0")

    def another_service_rejects_an_event(self):
        with amqp.Connection(f"127.0.0.1:{self.node.port}") as link:
            link.channel().basic_publish_confirm(amqp.Message("{}"), routing_key=DLQ)
        self.until(f'broker_dlq_depth{{queue="{DLQ}"}} > 0')

    def the_carrier_goes_away_and_a_saga_loses_its_message(self):
        self._mood("shipping", "down")
        for _ in range(6):
            self.service.place({"sku": "WIDGET", "quantity": 1})
        self.until("max by (provider) (max_over_time(breaker_state[2m])) == 2")
        waiting = Saga.objects.filter(status="running", current_step="create_shipment").first()
        OutboxMessage.objects.filter(message_id=waiting.waiting_for).update(state="skipped", finished_at=Now())
        self.until("saga_recovered_total > 0")
        self._mood("shipping", "ok")

    def the_books_tell_something_else(self):
        for key in ("somebody-else/1", f"{uuid.uuid4()}:charge_payment"):
            body = {"order_id": str(uuid.uuid4()), "amount_minor": 100, "currency": "EUR", "payment_method": "tok_ok"}
            answer = requests.post(
                f"{self.service.sandbox_url}/payments/charges",
                json=body,
                headers={**KEY, "Idempotency-Key": key},
                timeout=5,
            )
            assert answer.status_code == 201, answer.text
        self.until("reconciliation_strangers_total > 0")
        self.until("reconciliation_differences > 0")

    def a_worker_freezes_in_a_call_and_another_takes_its_work_over(self):
        placed = self.service.place({"sku": "WIDGET", "quantity": 1, "payment_method": "tok_slow_8"}).json()["id"]
        step = OutboxMessage.objects.filter(correlation_id=placed, destination="fulfil_order.charge_payment")
        self.service.wait_until(
            lambda: step.filter(state="open", claimed_at__isnull=False).exists(), within_seconds=60, what="the call"
        )
        frozen = self.service.stack.programs["remote-worker"].pid
        os.killpg(frozen, signal.SIGSTOP)
        self.observed.start("remote-worker-2")
        self.until('outbox_takeovers_total{destination="fulfil_order.charge_payment"} > 0')
        os.killpg(frozen, signal.SIGCONT)

    def a_table_cannot_be_read(self):
        self.observed.look()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE audit_position RENAME TO out_of_reach")
            for _ in range(3):
                self.observed.look("web")
            cursor.execute("ALTER TABLE out_of_reach RENAME TO audit_position")
        self.note()

    def _mood(self, provider, mood):
        requests.post(f"{self.service.sandbox_url}/moods/{provider}", json={"mood": mood}, timeout=5).raise_for_status()


def test_s14_every_documented_metric_is_told_and_moves(observed, node, postgres):
    """S14: after a day on which everything went wrong once, no metric is missing, and no counter stands still."""
    day = Day(observed, node, postgres)
    day.orders_end()
    day.a_client_repeats_itself()
    day.a_commit_is_not_answered()
    day.a_compensation_fails()
    day.a_message_dies()
    day.a_message_comes_twice()
    day.another_service_rejects_an_event()
    day.the_carrier_goes_away_and_a_saga_loses_its_message()
    day.the_books_tell_something_else()
    day.a_worker_freezes_in_a_call_and_another_takes_its_work_over()
    day.until("max(audit_last_run_age_seconds) >= 0")
    day.a_table_cannot_be_read()
    day.rest()

    assert missing(observed) - ELSEWHERE == set()
    assert standing_still(observed) - ELSEWHERE == set()
    assert told_wrong(observed) == {}
    assert [(name, label, value) for name, label, value in observed.labels() if _ID.search(value)] == []
    assert {rule.name for rule in RULES if alerts.holds(rule, observed.samples, observed.now)} >= BREAKS


def missing(observed):
    """Documented metrics of which no process ever told a sample."""
    told = {name for name, _ in observed.samples.series}
    return {name for name, (kind, _) in documented().items() if not told & {name + end for end in SUFFIXES[kind]}}


def standing_still(observed):
    """Counters and histograms that are 0 in every process."""
    moved = {name for (name, _), points in observed.samples.series.items() if any(value for _, value in points)}
    ends = {"counter": "", "histogram": "_count"}
    return {name for name, (kind, _) in documented().items() if kind in ends and name + ends[kind] not in moved}


def told_wrong(observed):
    """Sums over all processes that are not what stands in the rows: {what: (told, true)}."""
    ended = {
        dict(labels)["status"]: value
        for labels, value in observed.ask("sum by (status) (orders_ended_total)").items()
        if value
    }
    rows = {
        status: Order.objects.filter(status=status).count()
        for status in set(Order.objects.exclude(status="pending").values_list("status", flat=True))
    }
    placed = observed.ask("sum(orders_placed_total)")[frozenset()]
    told = {"ended": (ended, rows), "placed": (placed, Order.objects.count())}
    return {what: pair for what, pair in told.items() if pair[0] != pair[1]}
