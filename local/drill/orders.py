"""What the customers of a drill order and how each of them behaves: one seed, one list. Pure.

The first of them cover every product, token and habit once, whatever the seed, so that each counter has a reason to
move.
"""

import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Habit(StrEnum):
    """How a customer behaves."""

    PLAIN = "plain"
    # Two phones, one cart: the same key and body at the same moment.
    TWINS = "twins"
    # Sends the request and hangs up before the answer; comes back.
    HANGS_UP = "hangs up"
    # Got the answer and asks again all the same.
    REPEATS = "repeats"
    # A mistake of the client's: the key again, with another body.
    REUSES_KEY = "reuses its key"
    CANCELS = "cancels"


# Body, and how often it is wanted, of a hundred.
WANTED: tuple[tuple[Mapping[str, Any], int], ...] = (
    ({"sku": "WIDGET", "quantity": 2}, 40),
    ({"sku": "CABLE", "quantity": 3}, 10),
    ({"currency": "USD", "items": [{"sku": "WIDGET", "quantity": 1}, {"sku": "GIZMO", "quantity": 1}]}, 10),
    ({"sku": "GADGET", "quantity": 1, "payment_method": "tok_drop_reply_once"}, 6),
    ({"sku": "CABLE", "quantity": 1, "payment_method": "tok_5xx_once"}, 6),
    ({"sku": "WIDGET", "quantity": 1, "payment_method": "tok_half_reply_once"}, 3),
    ({"sku": "WIDGET", "quantity": 1, "payment_method": "tok_webhook_five"}, 3),
    ({"sku": "WIDGET", "quantity": 1, "payment_method": "tok_webhook_before"}, 3),
    ({"sku": "GADGET", "quantity": 1, "payment_method": "tok_declined"}, 5),
    ({"sku": "SOLD-OUT", "quantity": 1}, 3),
    ({"sku": "UNSHIPPABLE", "quantity": 1}, 5),
    ({"sku": "UNSHIPPABLE", "quantity": 1, "payment_method": "tok_refund_drop_reply_once"}, 3),
    ({"sku": "SHIP-5XX-ONCE", "quantity": 1}, 3),
)
HABITS: tuple[tuple[Habit, int], ...] = (
    (Habit.PLAIN, 66),
    (Habit.TWINS, 8),
    (Habit.HANGS_UP, 8),
    (Habit.REPEATS, 8),
    (Habit.REUSES_KEY, 2),
    (Habit.CANCELS, 8),
)
ROLES = ("customer", "other_customer")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One order of one customer, at its moment."""

    number: int
    at_seconds: float
    key: str
    role: str
    body: Mapping[str, Any]
    habit: Habit


def wishes(*, seed: int, count: int, seconds: float) -> Iterator[Wish]:
    dice = random.Random(f"orders/{seed}/{count}")
    for number in range(count):
        bodies, habits = [body for body, _ in WANTED], [habit for habit, _ in HABITS]
        body = dice.choices(bodies, [share for _, share in WANTED])[0]
        habit = dice.choices(habits, [share for _, share in HABITS])[0]
        yield Wish(
            number=number,
            at_seconds=seconds * (number + dice.random()) / count,
            key=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
            role=dice.choice(ROLES),
            body=bodies[number] if number < len(bodies) else body,
            habit=habits[number] if number < len(habits) else habit,
        )
