"""A shop whose orders the tests drive, and a provider with a ledger."""

from tests.support.provider import provider
from tests.support.shop import shop

__all__ = ["provider", "shop"]
