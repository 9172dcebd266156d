"""A shop whose orders the tests drive, a provider with a ledger, and a history of orders that are settled at once."""

import pytest

from tests.audit.history import history
from tests.support.provider import provider
from tests.support.shop import shop

__all__ = ["history", "provider", "shop"]


@pytest.fixture(autouse=True)
def settled_at_once(settings):
    settings.AUDIT = {**settings.AUDIT, "SETTLED_SECONDS": 0}
