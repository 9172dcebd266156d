"""What was published, seen as an outside destination that takes everything would see it."""

from collections.abc import Callable
from typing import Any

import pytest

from outbox.models import OutboxMessage

Published = Callable[[], list[tuple[str, dict[str, Any], int | None]]]


@pytest.fixture
def published(settings: Any) -> Published:
    """Returns a function: type, payload and sequence of every event so far, in order."""
    everything = {"BACKEND": "outbox.transports.console.ConsoleTransport", "TYPES": ["*"]}
    settings.OUTBOX = settings.OUTBOX | {"DESTINATIONS": {"everything": everything}}

    def so_far() -> list[tuple[str, dict[str, Any], int | None]]:
        rows = OutboxMessage.objects.filter(destination="everything").order_by("id")
        return [(row.type, row.payload, row.sequence) for row in rows]

    return so_far
