"""What the calls to providers say of themselves to staff: their breakers. It decides nothing."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from .models import Breaker, BreakerState

COLUMNS = ("state", "failures", "trips", "opened_at", "retry_at", "reason")


def details() -> Mapping[str, Any]:
    """Every configured provider's breaker; one without a row has never failed."""
    rows = {row["provider"]: row for row in Breaker.objects.values("provider", *COLUMNS)}
    never_failed = {"state": BreakerState.CLOSED.value, "failures": 0, "trips": 0}
    return {
        "breakers": [
            {"provider": provider, **dict.fromkeys(COLUMNS), **never_failed, **rows.get(provider, {})}
            for provider in settings.PROVIDERS
        ]
    }
