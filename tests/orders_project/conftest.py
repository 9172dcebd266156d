"""A shop with a provider that keeps a ledger, for pages that tell about sagas."""

from tests.support.provider import provider
from tests.support.shop import shop

__all__ = ["provider", "shop"]
