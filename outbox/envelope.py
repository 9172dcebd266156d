"""A message as consumers and transports see it, and its envelope on the wire.

Transport-level; of the domain it knows what the correlation id stands for. The row is `OutboxMessage`; this is the
value that is handed around.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from .registry import schema_version

PRODUCER = "orders"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One claimed message. `key` names the row, `message_id` the event; `epoch` fences this claim (I6)."""

    key: UUID
    message_id: UUID
    destination: str
    type: str
    payload: Mapping[str, Any]
    headers: Mapping[str, str]
    aggregate_type: str
    aggregate_id: UUID
    sequence: int | None
    correlation_id: UUID
    attempts: int
    epoch: int
    created_at: datetime
    scheduled_for: datetime | None = None


def to_wire(message: Message) -> dict[str, Any]:
    """The event envelope that outside destinations receive (docs/architecture.md, "Event envelope")."""
    return {
        "eventId": str(message.message_id),
        "eventType": message.type,
        "occurredAtUtc": message.created_at.isoformat().replace("+00:00", "Z"),
        "payload": dict(message.payload),
        "metadata": {
            "traceId": trace_id(message.headers),
            "correlationId": str(message.correlation_id),
            "causationId": message.headers.get("causationId"),
            "producer": PRODUCER,
            "schemaVersion": schema_version(message.type),
            "aggregateType": message.aggregate_type,
            "aggregateId": str(message.aggregate_id),
            "sequence": message.sequence,
        },
    }


def order_id_of(message: Message) -> UUID | None:
    """The order that a message is about: the correlation id is its id (docs/architecture.md).

    None for what belongs to no order: there the correlation id is the aggregate's own.
    """
    has_order = message.aggregate_type == "order" or message.correlation_id != message.aggregate_id
    return message.correlation_id if has_order else None


def trace_id(headers: Mapping[str, str]) -> str | None:
    """The trace id inside a W3C traceparent, or None."""
    parts = headers.get("traceparent", "").split("-")
    return parts[1] if len(parts) == 4 else None
