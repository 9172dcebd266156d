"""What a payment provider must be able to do, and the values that travel to and from it.

Every gateway passes `tests/payments/test_gateway_conformance.py`: it never touches the database, accepts no answer
about another amount, and every failure of it is exactly one of Refused, Unavailable, OutcomeUnknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class ChargeIntent:
    """What will be asked for, as noted in the payment's row."""

    payment_id: UUID
    order_id: UUID
    provider_key: str
    amount_minor: int
    currency: str
    payment_method: str


@dataclass(frozen=True, kw_only=True)
class ChargeReceipt:
    """The provider captured exactly what was asked for."""

    provider_reference: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class RefundIntent:
    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    provider_key: str
    charge_reference: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class RefundReceipt:
    provider_reference: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class LedgerCharge:
    """One charge in the provider's own books, for audit and reconciliation. `order_id` is whatever stands there."""

    provider_reference: str
    provider_key: str
    order_id: str
    amount_minor: int
    refunded_minor: int
    currency: str
    # "captured", "declined", or a word of the provider's that this code does not know.
    status: str
    created_at: datetime

    @property
    def captured(self) -> bool:
        return self.status == "captured"


@dataclass(frozen=True, kw_only=True)
class LedgerRefund:
    """One refund in the provider's own books."""

    provider_reference: str
    provider_key: str
    charge_reference: str
    amount_minor: int
    currency: str
    # "refunded", "declined", or a word that this code does not know.
    status: str
    created_at: datetime


class Gateway(Protocol):
    """One payment provider."""

    def charge(self, intent: ChargeIntent) -> ChargeReceipt:
        """Captures the amount under the intent's key. Raises Refused, Unavailable or OutcomeUnknown."""
        ...

    def find_charge(self, intent: ChargeIntent) -> ChargeReceipt | None:
        """What became of the key: the receipt, None when the provider says it knows no such key.

        Raises Refused for a charge that it refused, and for one that was given back since, all of it: nothing is paid
        any more, so nothing may be sent for it. Unavailable or OutcomeUnknown when it could not be asked.
        """
        ...

    def refund(self, intent: RefundIntent) -> RefundReceipt: ...

    def find_refund(self, intent: RefundIntent) -> RefundReceipt | None: ...

    def charges(self, *, after: str = "", key: str = "") -> Iterator[LedgerCharge]:
        """The provider's own listing, oldest first, read page by page as it is consumed.

        `after` begins behind the entry with that reference; `key` lists what stands under one key. Raises Unavailable
        or OutcomeUnknown: a listing that ends has been read to its end.
        """
        ...

    def refunds(self, *, after: str = "", key: str = "") -> Iterator[LedgerRefund]: ...
