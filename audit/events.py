"""What makes reconciliation go on, a type per provider, since each has a queue and a breaker of its own.

Aggregates of their own: any number, in any order, and one that died parks no other.
"""

from dataclasses import dataclass
from typing import ClassVar

from outbox.registry import Event


@dataclass(frozen=True, kw_only=True)
class BooksDue(Event):
    """It is time to compare the next slice of one kind of object."""

    aggregate_type: ClassVar[str] = "reconciliation"

    object: str


@dataclass(frozen=True, kw_only=True)
class KeysDoubted(Event):
    """The books tell these keys otherwise, or did: time to ask the provider about each."""

    aggregate_type: ClassVar[str] = "reconciliation"

    object: str
    keys: list[str]


@dataclass(frozen=True, kw_only=True)
class PaymentBooksDue(BooksDue):
    type: ClassVar[str] = "reconciliation.payment_books_due.v1"


@dataclass(frozen=True, kw_only=True)
class PaymentKeysDoubted(KeysDoubted):
    type: ClassVar[str] = "reconciliation.payment_keys_doubted.v1"


@dataclass(frozen=True, kw_only=True)
class ShippingBooksDue(BooksDue):
    type: ClassVar[str] = "reconciliation.shipping_books_due.v1"


@dataclass(frozen=True, kw_only=True)
class ShippingKeysDoubted(KeysDoubted):
    type: ClassVar[str] = "reconciliation.shipping_keys_doubted.v1"


BOOKS_DUE: dict[str, type[BooksDue]] = {"payments": PaymentBooksDue, "shipping": ShippingBooksDue}
KEYS_DOUBTED: dict[str, type[KeysDoubted]] = {"payments": PaymentKeysDoubted, "shipping": ShippingKeysDoubted}
