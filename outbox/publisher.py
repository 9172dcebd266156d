"""Publish: write a message's rows in the caller's transaction.

Guarantee: the message exists if and only if the caller's transaction commits (I1). Not guaranteed: when it is
delivered; that it has a destination at all (no subscriber, no row).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid_utils
from django.db import connection

from . import context, routing, tracing, wakeup
from .exceptions import NotInTransaction, PayloadTooLarge
from .json_rows import as_json, recordset
from .registry import Event

# Larger than any order's event, smaller than what every broker takes.
PAYLOAD_MAX_BYTES = 131_072

# The other columns have their defaults in the database: the number, drawn in the order given, and the times.
COLUMNS = {
    "key": "uuid",
    "message_id": "uuid",
    "destination": "text",
    "type": "text",
    "aggregate_type": "text",
    "aggregate_id": "uuid",
    "sequence": "int",
    "order_free": "boolean",
    "correlation_id": "uuid",
    "payload": "jsonb",
    "headers": "jsonb",
    "scheduled_for": "timestamptz",
}
INSERT = f"""
INSERT INTO outbox_outboxmessage ({", ".join(COLUMNS)}, state, attempts, epoch, last_error, due_at)
SELECT {", ".join(COLUMNS)}, 'open', 0, 0, '', coalesce(scheduled_for, statement_timestamp())
FROM {recordset(COLUMNS)}
ORDER BY place
"""
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Publication:
    """An event to publish. `sequence` is the aggregate's own count, raised with the change that the event tells."""

    event: Event
    aggregate_id: UUID
    sequence: int | None
    correlation_id: UUID
    scheduled_for: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Command:
    """A message for one destination inside, by name: "do this". Order-free; one open at a time per aggregate."""

    destination: str
    type: str
    aggregate_type: str
    aggregate_id: UUID
    correlation_id: UUID
    payload: dict[str, Any] = field(default_factory=dict)
    causation_id: UUID | None = None
    message_id: UUID = field(default_factory=uuid_utils.uuid7)


def publish(
    event: Event,
    *,
    aggregate_id: UUID,
    sequence: int | None,
    correlation_id: UUID,
    scheduled_for: datetime | None = None,
) -> UUID:
    """Publishes one event and returns its message id. Raises NotInTransaction, PayloadTooLarge."""
    publication = Publication(
        event=event,
        aggregate_id=aggregate_id,
        sequence=sequence,
        correlation_id=correlation_id,
        scheduled_for=scheduled_for,
    )
    return publish_all([publication])[0]


def publish_all(publications: Sequence[Publication]) -> list[UUID]:
    """Publishes events in this order with one multi-row insert; returns their message ids."""
    _require_transaction()
    carried = context.headers()
    ids: list[UUID] = []
    rows: list[Row] = []
    for publication in publications:
        message_id = uuid_utils.uuid7()
        ids.append(message_id)
        rows += _event_rows(publication, message_id, carried)
    _insert(rows)
    return ids


def publish_commands(commands: Sequence[Command]) -> None:
    """Publishes commands with one multi-row insert. Raises NotInTransaction, PayloadTooLarge."""
    _require_transaction()
    carried = context.headers()
    _insert([_command_row(command, carried) for command in commands])


def _event_rows(publication: Publication, message_id: UUID, carried: dict[str, str]) -> list[Row]:
    event = publication.event
    destinations = routing.subscribers(event.type)
    if not destinations:
        return []
    payload = event.payload()
    return [
        {
            "key": uuid_utils.uuid7(),
            "message_id": message_id,
            "destination": destination,
            "type": event.type,
            "aggregate_type": event.aggregate_type,
            "aggregate_id": publication.aggregate_id,
            "sequence": publication.sequence,
            "order_free": False,
            "correlation_id": publication.correlation_id,
            "payload": payload,
            "headers": carried,
            "scheduled_for": publication.scheduled_for,
        }
        for destination in destinations
    ]


def _command_row(command: Command, carried: dict[str, str]) -> Row:
    return {
        "key": uuid_utils.uuid7(),
        "message_id": command.message_id,
        "destination": command.destination,
        "type": command.type,
        "aggregate_type": command.aggregate_type,
        "aggregate_id": command.aggregate_id,
        "order_free": True,
        "correlation_id": command.correlation_id,
        "payload": command.payload,
        "headers": _headers(carried, command.causation_id),
    }


def _insert(rows: Sequence[Row]) -> None:
    if rows:
        with tracing.publishing(rows):
            text = as_json(rows)
            _check_sizes(rows, len(text))
            with connection.cursor() as cursor:
                cursor.execute(INSERT, [text])
        wakeup.after_commit({row["destination"] for row in rows})


def _headers(carried: dict[str, str], causation_id: UUID | None) -> dict[str, str]:
    return {**carried, "causationId": str(causation_id)} if causation_id else carried


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInTransaction


def _check_sizes(rows: Sequence[Row], bytes_in_all: int) -> None:
    """Each payload is bounded; when all rows together are below the bound, none needs a look."""
    if bytes_in_all <= PAYLOAD_MAX_BYTES:
        return
    for row in rows:
        size = len(as_json(row["payload"]))
        if size > PAYLOAD_MAX_BYTES:
            raise PayloadTooLarge(
                f"{row['type']}: {size:,} bytes, at most {PAYLOAD_MAX_BYTES:,}: send a reference instead."
            )
