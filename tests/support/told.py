"""A small event, a consumer that keeps a ledger, and hands on the clock: what the outbox's own tests work with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.db import connection, transaction

from outbox import consumer as consumers
from outbox import routing
from outbox.envelope import Message
from outbox.models import OutboxMessage
from outbox.publisher import publish
from outbox.registry import Event

CONSUMER = "test.consumer"


@dataclass(frozen=True, kw_only=True)
class Told(Event):
    type: ClassVar[str] = "test.told.v1"
    aggregate_type: ClassVar[str] = "test"
    text: str


class Ledger:
    """What the consumer did, and what it should raise."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.raises: dict[str, BaseException] = {}

    def __call__(self, messages: Sequence[Message]) -> None:
        self.batches.append([message.payload["text"] for message in messages])
        for message in messages:
            if error := self.raises.get(message.payload["text"]):
                raise error

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


def isolate(monkeypatch: Any) -> list[str]:
    """No destination is known but those a test registers; rings are collected instead of sent."""
    rings: list[str] = []
    monkeypatch.setattr(routing, "_inside", {})
    monkeypatch.setattr("outbox.bell._send", lambda destination: rings.append(destination.name) or True)
    return rings


def consuming(ledger: Any, name: str = CONSUMER) -> Any:
    consumers.consumer(name, event=Told)(ledger)
    return ledger


def tell(text: str, *, aggregate_id: UUID | None = None, sequence: int | None = 1, **options: Any) -> UUID:
    """Publishes in a transaction of its own; returns the message id."""
    aggregate_id = aggregate_id or uuid4()
    with transaction.atomic():
        return publish(
            Told(text=text), aggregate_id=aggregate_id, sequence=sequence, correlation_id=aggregate_id, **options
        )


def make_due(**which: Any) -> int:
    """Time passes: open messages that wait, back off or are claimed are due."""
    rows = OutboxMessage.objects.filter(state="open", **which)
    return rows.update(due_at="2020-01-01T00:00:00Z")


def row(text: str) -> OutboxMessage:
    return OutboxMessage.objects.get(payload__text=text)


def states() -> dict[str, str]:
    """{text: state}"""
    return dict(OutboxMessage.objects.filter(type=Told.type).values_list("payload__text", "state"))


def claim(*, limit: int = 50, types: Sequence[str] | None = (Told.type,), name: str = CONSUMER) -> list[Message]:
    """A claim as a worker makes it, without the work."""
    return OutboxMessage.objects.all().claim(
        name, types=types, limit=limit, claim_time=timedelta(seconds=15), max_attempts=10
    )


def waits_seconds(message: OutboxMessage) -> float:
    """How far its due_at is ahead of the database's clock; below zero when it is due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM due_at - clock_timestamp()) FROM outbox_outboxmessage WHERE key = %s",
            [message.key],
        )
        return float(cursor.fetchone()[0])
