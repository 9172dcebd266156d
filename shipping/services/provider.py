"""The carrier in use, and its own books."""

from collections.abc import Iterator

from django.conf import settings

from providers.backend import backend
from shipping.carriers.base import Carrier, LedgerShipment


def carrier() -> Carrier:
    """The carrier that `settings.CARRIER` names, one per process."""
    named: Carrier = backend(settings.CARRIER)
    return named


def provider_shipments() -> Iterator[LedgerShipment]:
    """Every shipment in the carrier's own books, for the audit. Network only, page by page."""
    return carrier().shipments()
