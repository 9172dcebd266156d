"""Every refusal of the order's services; the docstring is the message.

OrderRefused
├── UnknownProducts       the catalogue does not sell these in this currency
├── PricesDiffer          the client expected other prices than the catalogue's
├── OrderAlreadyEnded     there is nothing left to cancel
└── CancelUndecided       the order moves too fast, or under newer code: nothing was changed, try again
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class OrderRefused(Exception):
    """Base of all refusals."""


class UnknownProducts(OrderRefused):
    """The catalogue does not sell these products in this currency."""

    def __init__(self, skus: Sequence[str]) -> None:
        super().__init__(self.__doc__)
        self.skus = tuple(skus)


@dataclass(frozen=True, kw_only=True)
class PriceDifference:
    expected_minor: int
    actual_minor: int


class PricesDiffer(OrderRefused):
    """The catalogue's prices are not the ones that the client expects."""

    def __init__(self, differences: Mapping[str, PriceDifference]) -> None:
        super().__init__(self.__doc__)
        self.differences = dict(differences)


class OrderAlreadyEnded(OrderRefused):
    """The order has ended otherwise, and cannot be cancelled any more."""

    def __init__(self, status: str) -> None:
        super().__init__(self.__doc__)
        self.status = status


class CancelUndecided(OrderRefused):
    """Whether the order can still be cancelled cannot be told right now; nothing was changed. Try again."""
