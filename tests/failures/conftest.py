"""A shop whose orders the tests drive, a provider with a ledger, and a subscriber to everything."""

from tests.outbox.conftest import _nobody_asked_to_stop
from tests.support.provider import provider
from tests.support.published import published
from tests.support.shop import shop

__all__ = ["_nobody_asked_to_stop", "provider", "published", "shop"]
