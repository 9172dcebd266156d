"""The gateway in use, and asking it: the network's side of this app, no database.

Guarantees that a probe which failed never reads as "nothing happened": whatever keeps the question from being answered
leaves the outcome exactly as unknown as it was (I13).
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar

from django.conf import settings
from django.utils.module_loading import import_string

from payments.gateways.base import Gateway, LedgerCharge
from providers.errors import OutcomeUnknown, Unavailable

T = TypeVar("T")


def gateway() -> Gateway:
    """The gateway that `settings.PAYMENT_GATEWAY` names, one per process."""
    return _build(settings.PAYMENT_GATEWAY["BACKEND"], json.dumps(settings.PAYMENT_GATEWAY.get("OPTIONS", {})))


@cache
def _build(backend: str, options: str) -> Gateway:
    made: Gateway = import_string(backend)(**json.loads(options))
    return made


def ask(question: Callable[[], T]) -> T:
    """The probe's answer; Unavailable would say "nothing happened", so a probe never raises it."""
    try:
        return question()
    except Unavailable as error:
        raise OutcomeUnknown(f"not asked: {error.detail}", retry_after_seconds=error.retry_after_seconds) from error


def provider_charges() -> Iterator[LedgerCharge]:
    """Every charge in the provider's own books, for the audit. Network only, page by page."""
    return gateway().charges()
