"""What a crash point is, and what is ordered while it is armed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.armed.seam import Seam

# Nothing is armed: what the provider or the network does is the fault.
WORLD = "world"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An order, how it must end whatever happens on the way, and what its customer must be told."""

    body: Mapping[str, Any]
    end: str
    notices: frozenset[str]
    # The customer cancels while the parcel's fate is unknown.
    is_cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """One crash point: where it is, which faults are tried there, what is ordered, and what must hold.

    `scene` names what the test prepares and checks besides (tests/crash_points/scenes.py). `cut_by` is the pattern
    whose bytes are cut for an unknown commit.
    """

    name: str
    seam: Seam
    faults: tuple[str, ...]
    promise: str
    orders: tuple[Wanted, ...]
    scene: str = ""
    cut_by: bytes = b""

    @property
    def flow(self) -> str:
        return self.name.partition(".")[0]


CONFIRMED = Wanted(body={"sku": "WIDGET", "quantity": 1}, end="confirmed", notices=frozenset({"confirmed"}))
UNSHIPPABLE = Wanted(
    body={"sku": "UNSHIPPABLE", "quantity": 1},
    end="rejected: shipping_unavailable",
    notices=frozenset({"rejected", "refunded"}),
)
# The carrier has taken the parcel, and nobody knows yet, when the customer changes their mind.
CANCELLED = Wanted(
    body=CONFIRMED.body,
    end="cancelled: customer",
    notices=frozenset({"cancelled", "refunded"}),
    is_cancelled=True,
)


def paid_by(token: str) -> Wanted:
    """A confirmed order whose charge meets the fault that its token names (docs/sandbox.md)."""
    body = {**CONFIRMED.body, "payment_method": token}
    return Wanted(body=body, end="confirmed", notices=CONFIRMED.notices)
