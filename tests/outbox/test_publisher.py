"""Publish: one row per destination, in the caller's transaction, or an error."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from outbox import context, tracing
from outbox.exceptions import NotInTransaction, PayloadTooLarge
from outbox.models import OutboxMessage
from outbox.publisher import PAYLOAD_MAX_BYTES, Command, Publication, publish, publish_all, publish_commands
from tests.support.told import Told, claim, consuming, tell

CONSOLE = "outbox.transports.console.ConsoleTransport"


def publication(text, **options):
    values = {"aggregate_id": uuid4(), "sequence": 1, "correlation_id": uuid4()} | options
    return Publication(event=Told(text=text), **values)


@pytest.mark.django_db
class TestRows:
    def test_every_destination_gets_a_row_of_its_own_under_one_message_id(self, rings, outside):
        consuming(lambda messages: None, "a")
        consuming(lambda messages: None, "b")
        outside(broker={"BACKEND": CONSOLE, "TYPES": ["test.*"]}, other={"BACKEND": CONSOLE, "TYPES": ["order.*"]})

        message_id = tell("hello")

        rows = OutboxMessage.objects.order_by("destination")
        assert [row.destination for row in rows] == ["a", "b", "broker"]
        assert {row.message_id for row in rows} == {message_id}
        assert len({row.key for row in rows}) == 3

    def test_an_event_that_nobody_subscribes_to_leaves_no_row_and_asks_nothing(self, rings, django_assert_num_queries):
        with transaction.atomic(), django_assert_num_queries(0):
            publish(Told(text="x"), aggregate_id=uuid4(), sequence=1, correlation_id=uuid4())

        assert OutboxMessage.objects.count() == 0

    def test_many_events_are_one_insert_in_their_order(self, ledger, django_assert_num_queries):
        with transaction.atomic(), django_assert_num_queries(1):
            publish_all([publication(text) for text in "abc"])

        assert list(OutboxMessage.objects.order_by("id").values_list("payload__text", flat=True)) == ["a", "b", "c"]

    def test_a_message_that_no_destination_could_carry_is_refused(self, ledger):
        with pytest.raises(PayloadTooLarge):
            tell("x" * PAYLOAD_MAX_BYTES)

        assert OutboxMessage.objects.count() == 0

    def test_a_scheduled_message_keeps_its_time_and_others_take_the_databases_clock(self, ledger):
        later = timezone.now() + timedelta(hours=1)

        with transaction.atomic():
            publish_all([publication("now"), publication("later", scheduled_for=later)])

        now, scheduled = OutboxMessage.objects.order_by("id")
        assert (scheduled.due_at, scheduled.scheduled_for) == (later, later)
        assert now.scheduled_for is None
        assert now.due_at <= timezone.now() + timedelta(seconds=1)

    def test_a_message_names_its_cause(self, ledger):
        tell("cause")
        tell("another")
        cause, another = claim()
        with context.about(cause), transaction.atomic():
            publish_all([publication("inherited")])
        spans = tracing.spans(tracing.PROCESS, "test.consumer")
        with context.handling([cause, another], spans=spans), transaction.atomic():
            publish_all([publication("of a batch")])

        assert OutboxMessage.objects.get(payload__text="inherited").headers["causationId"] == str(cause.message_id)
        assert OutboxMessage.objects.get(payload__text="of a batch").headers == {}

    def test_the_payload_travels_in_camel_case_with_ids_as_strings(self, ledger):
        command = Command(
            destination="test.consumer",
            type="t.v1",
            aggregate_type="saga",
            aggregate_id=uuid4(),
            correlation_id=uuid4(),
        )
        with transaction.atomic():
            publish_commands([command])

        row = OutboxMessage.objects.get()
        assert (row.order_free, row.message_id, row.sequence) == (True, command.message_id, None)
        assert json.loads(json.dumps(row.payload)) == {}


@pytest.mark.django_db
class TestGuards:
    """What Postgres itself refuses."""

    def test_i12_one_sequence_number_is_used_once_per_aggregate_and_destination(self, ledger):
        """I12: messages of one aggregate have an order."""
        aggregate = uuid4()
        tell("first", aggregate_id=aggregate, sequence=1)

        with pytest.raises(IntegrityError, match="one_message_per_aggregate_sequence_and_destination"):
            tell("twin", aggregate_id=aggregate, sequence=1)

    def test_one_message_has_one_row_per_destination(self, ledger):
        tell("once")
        row = OutboxMessage.objects.get()
        row.pk = uuid4()
        row.sequence = 2

        with pytest.raises(IntegrityError, match="one_row_per_message_and_destination"):
            row.save(force_insert=True)

    def test_i11_an_unfinished_row_without_a_due_time_is_refused(self, ledger):
        """I11: every wait ends: each row has a due_at."""
        tell("once")

        with pytest.raises(IntegrityError, match="due_at"), connection.cursor() as cursor:
            cursor.execute("UPDATE outbox_outboxmessage SET due_at = NULL")

    @pytest.mark.parametrize(
        ("change", "guard"),
        [
            # Two constraints refuse it; Postgres names the first in alphabetical order.
            ("state = 'lost'", "outbox_(finished_if_and_only_if_ended|state_is_known)"),
            ("state = 'done'", "outbox_finished_if_and_only_if_ended"),
            ("finished_at = now()", "outbox_finished_if_and_only_if_ended"),
            ("attempts = -1", "outbox_counts_are_not_negative"),
        ],
    )
    def test_i4_a_row_is_open_until_it_says_how_it_ended(self, ledger, change, guard):
        """I4: a message is never forgotten."""
        tell("once")

        with pytest.raises(IntegrityError, match=guard), connection.cursor() as cursor:
            cursor.execute(f"UPDATE outbox_outboxmessage SET {change}")

    def test_claims_touch_no_indexed_column(self, ledger):
        """Claims stay heap-only: due_at, attempts, epoch and claimed_at stand in no index."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'outbox_outboxmessage'")
            definitions = " ".join(text for (text,) in cursor.fetchall())

        assert "destination" in definitions
        for column in ("due_at", "attempts", "epoch", "claimed_at", "last_error"):
            assert column not in definitions


@pytest.mark.django_db(transaction=True)
class TestTransaction:
    def test_outside_a_transaction_it_is_an_error(self, ledger):
        with pytest.raises(NotInTransaction):
            publish(Told(text="x"), aggregate_id=uuid4(), sequence=1, correlation_id=uuid4())
        with pytest.raises(NotInTransaction):
            publish_commands([])

        assert OutboxMessage.objects.count() == 0

    def test_i1_the_message_is_undone_with_the_transaction_that_caused_it(self, ledger):
        """I1: an event exists if and only if its cause does."""
        with transaction.atomic():
            tell("x")
            transaction.set_rollback(True)

        assert OutboxMessage.objects.count() == 0
