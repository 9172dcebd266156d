"""What an order's owner may know of its timeline: what was done for them and when, never how, by whom or with what.

Guarantee: a list of what is told; a kind, a fact or a status that is not on it stays with staff. So no errors,
attempts, messages, destinations, keys at providers, differences, operators, trace or outlook. What `GET /orders/{id}`
tells anyway (steps by name, payment, parcel) is told here too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .timeline import Timeline
from .timeline_entries import Entry, Kind

UNDER_WAY, NOT_DONE = "under_way", "not_done"
# Statuses of a step, and of its compensation: whether it is done is the owner's business, why not is not.
STEPS: Final = {
    "done": "done", "running": UNDER_WAY, "retrying": UNDER_WAY, "unknown": UNDER_WAY, "failed": UNDER_WAY,
    "refused": NOT_DONE, "absent": NOT_DONE, "given_up": NOT_DONE, "skipped": NOT_DONE,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Told:
    """Which facts of a kind are told, and what its statuses become; without a table they are told as they are."""

    facts: frozenset[str] = frozenset()
    statuses: Mapping[str, str] | None = None


TOLD: Final[Mapping[Kind, Told]] = {
    Kind.ORDER: Told(facts=frozenset({"total", "currency", "reason"})),
    Kind.KEY: Told(facts=frozenset({"expires_at"})),
    Kind.STEP: Told(statuses=STEPS),
    Kind.COMPENSATION: Told(statuses=STEPS),
    Kind.PAYMENT: Told(facts=frozenset({"amount", "currency", "refunded"})),
    Kind.REFUND: Told(facts=frozenset({"amount", "currency"}), statuses={"refunded": "refunded"}),
    Kind.SHIPMENT: Told(facts=frozenset({"tracking_number"})),
    Kind.CANCELLATION: Told(statuses={"cancelled": "cancelled"}),
    Kind.NOTIFICATION: Told(statuses={"sent": "sent", "refused": NOT_DONE}),
}


def for_owner(timeline: Timeline) -> Timeline:
    """The same timeline with what its owner may know, and nothing else."""
    return Timeline(order=timeline.order, read_at=timeline.read_at, entries=_told(timeline.entries))


def _told(entries: Sequence[Entry]) -> list[Entry]:
    return [_entry(entry, TOLD[entry.kind]) for entry in entries if entry.kind in TOLD]


def _entry(entry: Entry, told: Told) -> Entry:
    """Made anew of what is told, so that a field that entries get one day is not."""
    status = entry.status if told.statuses is None else told.statuses.get(entry.status, UNDER_WAY)
    return Entry(
        kind=entry.kind,
        name=entry.name,
        began_at=entry.began_at,
        ended_at=None if status == UNDER_WAY else entry.ended_at,
        status=status,
        facts={name: fact for name, fact in entry.facts.items() if name in told.facts},
    )
