"""Facts that the outbox itself publishes."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from .registry import Event


@dataclass(frozen=True, kw_only=True)
class MessageDead(Event):
    """A message is dead: spent or hopeless. It waits for an operator."""

    type: ClassVar[str] = "message.dead.v1"
    aggregate_type: ClassVar[str] = "message"

    message_id: UUID
    destination: str
    message_type: str
    attempts: int
    reason: str
