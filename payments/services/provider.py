"""The gateway in use, and its own books."""

from collections.abc import Iterator

from django.conf import settings

from payments.gateways.base import Gateway, LedgerCharge
from providers.backend import backend


def gateway() -> Gateway:
    """The gateway that `settings.PAYMENT_GATEWAY` names, one per process."""
    named: Gateway = backend(settings.PAYMENT_GATEWAY)
    return named


def provider_charges() -> Iterator[LedgerCharge]:
    """Every charge in the provider's own books, for the audit. Network only, page by page."""
    return gateway().charges()
