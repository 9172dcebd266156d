"""`manage.py seed_messages`: valid events of every type, marked, in development only."""

import json
from dataclasses import fields
from io import StringIO
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from audit.report import audit_now
from outbox import consumer, registry, seeds
from outbox.models import OutboxMessage
from tests.support import told

TYPES = [name for name in registry.known_types() if name != told.Told.type]


def seed(*options: object) -> str:
    out = StringIO()
    call_command("seed_messages", *map(str, options), stdout=out)
    return out.getvalue()


def fails(*options: object) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        seed(*options)
    return caught.value.returncode, str(caught.value)


@pytest.fixture
def _development(settings):
    settings.DEBUG = True


class TestExamples:
    def test_the_types_of_all_apps_are_known(self):
        assert {"order.created.v1", "payment.charged.v1", "stock.reserved.v1", "message.dead.v1"} <= set(TYPES)
        assert len(TYPES) >= 20

    @pytest.mark.parametrize("name", TYPES)
    def test_every_type_has_a_whole_example_that_travels_as_json(self, name):
        event = registry.known_types()[name]
        aggregate_id = uuid4()
        payload = json.loads(json.dumps(seeds.example(event, aggregate_id).payload()))
        assert len(payload) == len(fields(event))
        assert None not in payload.values()

    def test_an_example_is_about_its_aggregate_and_has_what_consumers_read(self):
        order_id = uuid4()
        payload = seeds.example(registry.known_types()["order.created.v1"], order_id).payload()
        assert payload == {
            "orderId": str(order_id), "customerId": "0", "totalAmount": "9.99", "currency": "EUR",
            "items": [{"productId": "WIDGET", "qty": 1}],
        }  # fmt: skip


@pytest.mark.django_db
@pytest.mark.usefixtures("_development")
class TestSeeding:
    def test_so_many_events_are_written_each_of_its_own_aggregate_and_marked(self, ledger, monkeypatch):
        monkeypatch.setattr(seeds, "BATCH_SIZE", 2)
        assert seed("test.told.v1", "--count", 5) == "Seeded 5 test.told.v1 to test.consumer.\n"
        rows = OutboxMessage.objects.all()
        assert [row.headers["seeded"] for row in rows] == ["true"] * 5
        assert len({row.aggregate_id for row in rows}) == 5
        consumer.deliver(told.CONSUMER)
        assert ledger.texts == ["seeded"] * 5
        told.tell("real")
        assert "seeded" not in told.row("real").headers

    def test_a_dry_run_shows_one_and_writes_none(self, ledger):
        shown = json.loads(seed("test.told.v1", "--count", 5, "--dry-run", "--json"))
        assert shown == {
            "would_seed": 5, "type": "test.told.v1", "destinations": ["test.consumer"], "payload": {"text": "seeded"},
        }  # fmt: skip
        assert OutboxMessage.objects.count() == 0

    def test_an_unknown_type_and_one_that_nobody_takes_are_told(self, ledger):
        code, text = fails("order.made.v1")
        assert (code, "order.created.v1" in text) == (2, True)
        assert fails("order.confirmed.v1") == (1, "No destination takes order.confirmed.v1: nothing to write.")

    def test_the_audit_finds_nothing_wrong_with_seeds(self):
        seed("order.confirmed.v1", "--count", 3)
        assert OutboxMessage.objects.count() == 3
        assert UUID(OutboxMessage.objects.all()[0].payload["orderId"]) == OutboxMessage.objects.all()[0].aggregate_id
        assert audit_now(at_rest=False, with_ledgers=False).violations == []


@pytest.mark.django_db
class TestProduction:
    def test_it_is_refused_unless_one_says_so(self, ledger, settings):
        settings.DEBUG = settings.LOCAL_TOOLS = False
        code, text = fails("test.told.v1")
        assert (code, "--even-in-production" in text) == (1, True)
        assert OutboxMessage.objects.count() == 0
        seed("test.told.v1", "--even-in-production")
        assert OutboxMessage.objects.count() == 1
