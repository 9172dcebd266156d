"""The carrier in use, and asking it: the network's side of this app, no database.

Guarantees that a probe which failed never reads as "nothing happened": whatever keeps the question from being answered
leaves the outcome exactly as unknown as it was (I13).
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar

from django.conf import settings
from django.utils.module_loading import import_string

from providers.errors import OutcomeUnknown, Unavailable
from shipping.carriers.base import Carrier, LedgerShipment

T = TypeVar("T")


def carrier() -> Carrier:
    """The carrier that `settings.CARRIER` names, one per process."""
    return _build(settings.CARRIER["BACKEND"], json.dumps(settings.CARRIER.get("OPTIONS", {})))


@cache
def _build(backend: str, options: str) -> Carrier:
    made: Carrier = import_string(backend)(**json.loads(options))
    return made


def ask(question: Callable[[], T]) -> T:
    """The probe's answer; Unavailable would say "nothing happened", so a probe never raises it."""
    try:
        return question()
    except Unavailable as error:
        raise OutcomeUnknown(f"not asked: {error.detail}", retry_after_seconds=error.retry_after_seconds) from error


def provider_shipments() -> Iterator[LedgerShipment]:
    """Every shipment in the carrier's own books, for the audit. Network only, page by page."""
    return carrier().shipments()
