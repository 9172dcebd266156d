"""The gateway in use, and its own books."""

from collections.abc import Iterator

from django.conf import settings

from payments.gateways.base import Gateway, LedgerCharge, LedgerRefund
from providers.backend import backend


def gateway() -> Gateway:
    """The gateway that `settings.PAYMENT_GATEWAY` names, one per process."""
    named: Gateway = backend(settings.PAYMENT_GATEWAY)
    return named


def provider_charges(*, after: str = "", key: str = "") -> Iterator[LedgerCharge]:
    """Every charge in the provider's own books, oldest first, behind the reference `after`; or those under one key.

    For audit and reconciliation. Network only, page by page as it is consumed; raises Unavailable or OutcomeUnknown.
    """
    return gateway().charges(after=after, key=key)


def provider_refunds(*, after: str = "", key: str = "") -> Iterator[LedgerRefund]:
    """The same for refunds."""
    return gateway().refunds(after=after, key=key)
