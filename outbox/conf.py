"""The outbox's settings, frozen, with units in their names. Relations between them are proved by system checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class OutboxConf:
    poll_interval_ms: int = 500
    relay_batch_size: int = 100
    # A claim takes the first number, and up to the second while there is a backlog.
    claim_batch_size: int = 50
    claim_batch_max_size: int = 200
    claim_seconds: float = 15.0
    remote_claim_seconds: float = 30.0
    max_attempts: int = 10
    backoff_base_seconds: float = 2.0
    backoff_cap_seconds: float = 300.0
    retention_days: int = 7
    inbox_retention_days: int = 14
    # Worker slots per queue, over all machines: how many rings of one destination may be under way at once.
    queue_slots: Mapping[str, int] = field(default_factory=dict)
    # Destinations outside: name -> {"BACKEND": dotted path, "OPTIONS": {...}, "TYPES": ["order.*"]}.
    destinations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # Queues at RabbitMQ, and the patterns of event types that each is bound for.
    work_queues: Mapping[str, Sequence[str]] = field(default_factory=dict)


def conf() -> OutboxConf:
    """The settings as they are now (read anew, so that override_settings works in tests)."""
    given = settings.OUTBOX
    return OutboxConf(**{f.name: given[f.name.upper()] for f in fields(OutboxConf) if f.name.upper() in given})
