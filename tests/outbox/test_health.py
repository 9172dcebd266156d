"""What /health/ready tells of the outbox, for information."""

import pytest

from outbox import health, heartbeat
from outbox.models import Destination, OutboxMessage
from tests.support.told import tell


@pytest.mark.django_db(transaction=True)
def test_tells_the_age_of_the_oldest_open_message_and_of_the_last_heartbeat(ledger, client):
    tell("old")
    tell("new")
    OutboxMessage.objects.filter(payload__text="old").update(created_at="2020-01-01T00:00:00Z")
    Destination.objects.create(name="test.consumer")
    Destination.objects.create(name="test.idle")
    heartbeat.beat("relay")

    told = client.get("/health/ready").json()["outbox"]

    assert set(told["oldest_open_seconds"]) == {"test.consumer"}
    assert told["oldest_open_seconds"]["test.consumer"] > 1_000_000
    assert set(told["heartbeat_age_seconds"]) == {"relay"}
    assert health.measure().keys() == told.keys()
