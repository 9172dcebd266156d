"""One ring, one claim, one transaction: what a consumer's batch guarantees."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import uuid4

import pytest
from django.db import transaction

from outbox import consumer as consumers
from outbox import routing
from outbox.exceptions import Hopeless, NotInTransaction, RetryLater
from outbox.models import InboxMessage, OutboxMessage
from outbox.publisher import publish
from outbox.registry import Event


@dataclass(frozen=True, kw_only=True)
class Told(Event):
    type: ClassVar[str] = "test.told.v1"
    aggregate_type: ClassVar[str] = "test"
    text: str


class Ledger:
    """What the consumer did, and what it should raise."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.raises: dict[str, Exception] = {}

    def __call__(self, messages):
        self.batches.append([message.payload["text"] for message in messages])
        for message in messages:
            if error := self.raises.get(message.payload["text"]):
                raise error


@pytest.fixture
def ledger(monkeypatch):
    monkeypatch.setattr(routing, "_inside", {})
    monkeypatch.setattr("outbox.bell._send", lambda destination: True)
    ledger = Ledger()
    consumers.consumer("test.consumer", event=Told)(ledger)
    return ledger


def tell(text, *, aggregate_id=None, sequence=1, **options):
    aggregate_id = aggregate_id or uuid4()
    with transaction.atomic():
        return publish(
            Told(text=text), aggregate_id=aggregate_id, sequence=sequence, correlation_id=aggregate_id, **options
        )


def make_due():
    OutboxMessage.objects.filter(state="open").update(due_at="2020-01-01T00:00:00Z")


@pytest.mark.django_db(transaction=True)
class TestDeliver:
    def test_takes_everything_due_as_one_batch(self, ledger):
        for text in "abc":
            tell(text)

        assert consumers.deliver("test.consumer") == 3

        assert ledger.batches == [["a", "b", "c"]]
        assert set(OutboxMessage.objects.values_list("state", "attempts")) == {("done", 1)}
        assert InboxMessage.objects.count() == 3

    def test_keeps_the_order_of_one_aggregate_even_when_the_head_fails(self, ledger):
        order = uuid4()
        tell("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        ledger.raises["first"] = RetryLater(timedelta(hours=1))

        consumers.deliver("test.consumer")
        consumers.deliver("test.consumer")

        assert ledger.batches == [["first"]]
        assert OutboxMessage.objects.get(sequence=1).attempts == 0

    def test_repeats_a_batch_that_raised_one_by_one(self, ledger):
        for text in "abc":
            tell(text)
        ledger.raises["b"] = RuntimeError("broken")

        while consumers.deliver("test.consumer"):
            pass

        assert ledger.batches == [["a", "b", "c"], ["a"], ["b"], ["c"]]
        failed = OutboxMessage.objects.get(payload__text="b")
        assert (failed.state, failed.attempts, failed.last_error) == ("open", 2, "RuntimeError: broken")
        assert OutboxMessage.objects.filter(state="done").count() == 2
        assert InboxMessage.objects.count() == 2

    def test_buries_a_hopeless_message_at_once(self, ledger):
        tell("never")
        ledger.raises["never"] = Hopeless("no such order")

        consumers.deliver("test.consumer")

        row = OutboxMessage.objects.get()
        assert (row.state, row.attempts, row.last_error) == ("dead", 1, "Hopeless: no such order")

    def test_buries_a_message_after_ten_attempts(self, ledger):
        """S5: a hopeless row stops after its attempts and is visible."""
        tell("spent")
        ledger.raises["spent"] = RuntimeError("broken")

        for _ in range(12):
            make_due()
            consumers.deliver("test.consumer")

        assert len(ledger.batches) == 10
        assert OutboxMessage.objects.get().state == "dead"

    def test_ignores_what_it_has_handled_before(self, ledger):
        tell("once")
        consumers.deliver("test.consumer")
        OutboxMessage.objects.update(state="open", finished_at=None, attempts=0, due_at="2020-01-01T00:00:00Z")

        consumers.deliver("test.consumer")

        assert ledger.batches == [["once"]]
        assert OutboxMessage.objects.get().state == "done"

    def test_leaves_a_scheduled_message_until_its_time(self, ledger):
        from django.utils import timezone

        tell("later", scheduled_for=timezone.now() + timedelta(hours=1))

        assert consumers.deliver("test.consumer") == 0
        assert ledger.batches == []


@pytest.mark.django_db(transaction=True)
def test_publish_outside_a_transaction_is_an_error(ledger):
    with pytest.raises(NotInTransaction):
        publish(Told(text="x"), aggregate_id=uuid4(), sequence=1, correlation_id=uuid4())
    assert OutboxMessage.objects.count() == 0
