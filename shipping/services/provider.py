"""The carrier in use, and its own books."""

from collections.abc import Iterator

from django.conf import settings

from providers.backend import backend
from shipping.carriers.base import Carrier, LedgerCancellation, LedgerShipment


def carrier() -> Carrier:
    """The carrier that `settings.CARRIER` names, one per process."""
    named: Carrier = backend(settings.CARRIER)
    return named


def provider_shipments(*, after: str = "", key: str = "") -> Iterator[LedgerShipment]:
    """Every shipment in the carrier's own books, oldest first, behind the reference `after`; or those under one key.

    For audit and reconciliation. Network only, page by page as it is consumed; raises Unavailable or OutcomeUnknown.
    """
    return carrier().shipments(after=after, key=key)


def provider_cancellations(*, after: str = "", key: str = "") -> Iterator[LedgerCancellation]:
    """The same for cancellations."""
    return carrier().cancellations(after=after, key=key)
