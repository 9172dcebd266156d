"""No destinations but the test's own, and a consumer with a ledger."""

import pytest

from outbox import heartbeat
from tests.outbox import remote_work
from tests.support import told


@pytest.fixture
def rings(monkeypatch):
    """The rings that were sent, by destination."""
    return told.isolate(monkeypatch)


@pytest.fixture
def ledger(rings):
    return told.consuming(told.Ledger())


@pytest.fixture
def work(rings):
    """The work of a remote destination."""
    return remote_work.working()


@pytest.fixture
def outside(settings):
    """Makes destinations outside known, by name; answers a function that takes their settings."""

    def know(**destinations):
        settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": destinations}

    return know


@pytest.fixture(autouse=True)
def _nobody_asked_to_stop():
    yield
    heartbeat._stopping.clear()
