"""A catalogue, callers, and a subscriber that remembers what was published."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from outbox.models import OutboxMessage
from tests.inventory.builders import stocked
from tests.orders.builders import customer
from tests.support.provider import provider
from tests.support.shop import shop

__all__ = ["ann", "bob", "catalogue", "provider", "published", "shop", "staff"]


@pytest.fixture
def catalogue(db: None) -> None:
    stocked("WIDGET", 100, EUR=999, JPY=1600, KWD=3250)
    stocked("GADGET", 50, EUR=2450)
    for number in range(101):
        stocked(f"SKU-{number}", 10, EUR=100)


@pytest.fixture
def ann(db: None) -> APIClient:
    return _client("ann")


@pytest.fixture
def bob(db: None) -> APIClient:
    return _client("bob")


@pytest.fixture
def staff(db: None) -> APIClient:
    return _client("staff", is_staff=True)


def _client(username: str, **options: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(customer(username, **options))
    return client


@pytest.fixture
def published(settings: Any) -> Any:
    """Makes a destination outside take every event; answers what was published, as (type, sequence, payload)."""
    settings.OUTBOX = {
        **settings.OUTBOX,
        "DESTINATIONS": {"witness": {"BACKEND": "outbox.transports.console.ConsoleTransport", "TYPES": ["order.*"]}},
    }

    def read() -> list[tuple[str, int | None, dict[str, Any]]]:
        rows = OutboxMessage.objects.filter(destination="witness").order_by("id")
        return list(rows.values_list("type", "sequence", "payload"))

    return read
