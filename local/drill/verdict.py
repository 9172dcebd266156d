"""What must be true after a drill, and what must have moved for it to have proved anything. Pure: judges evidence.

Guarantees that a drill whose faults did not land, or whose counters stood still, fails as surely as one that lost an
order. Not guaranteed: recovery times; they are told beside their bounds and judged only where work never went on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from local.drill.schedule import KILLS

HELD, BROKEN, COULD_NOT_RUN = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class FaultCount:
    """One row of the table of faults."""

    label: str
    planned: int
    delivered: int
    landed: int


@dataclass(frozen=True, kw_only=True)
class RecoveryTime:
    """Seconds from a fault until work went on."""

    what: str
    bound_seconds: float
    times: int
    typical: float | None
    longest: float | None
    # Probes that never ended.
    never: int = 0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that was found. The lists hold what should not be there, one line each."""

    wanted: int
    answered: int
    orders: Mapping[str, int]
    # Answered orders that the service does not have; orders that nobody was answered for; keys with two orders.
    lost: Sequence[str] = ()
    unclaimed: Sequence[str] = ()
    doubled: Sequence[str] = ()
    # Keys with two different answers; keys never answered; answers that no client should get.
    torn: Sequence[str] = ()
    unanswered: Sequence[str] = ()
    unexpected: Sequence[str] = ()
    double_charges: Sequence[str] = ()
    breaches: Sequence[str] = ()
    violations: Sequence[str] = ()
    # "orders pending": 3 and the like, after all the patience there was.
    not_at_rest: Mapping[str, int] = field(default_factory=dict)
    faults: Sequence[FaultCount] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    recoveries: Sequence[RecoveryTime] = ()

    @property
    def kills_landed(self) -> int:
        return sum(fault.landed for fault in self.faults if fault.label.partition(":")[0] in KILLS)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Empty lists: the drill held, and proved it."""

    broken: Sequence[str]
    vacuous: Sequence[str]

    @property
    def status(self) -> int:
        return BROKEN if self.broken or self.vacuous else HELD


def judge(evidence: Evidence) -> Verdict:
    return Verdict(broken=list(_broken(evidence)), vacuous=list(_vacuous(evidence)))


def _broken(evidence: Evidence) -> Iterator[str]:
    """One sentence per promise, with the first of what broke it."""
    found = {
        "orders were answered for and are gone (I1)": evidence.lost,
        "orders exist that nobody was answered for (I2)": evidence.unclaimed,
        "keys have two orders (I2)": evidence.doubled,
        "keys were answered with different bytes (I2)": evidence.torn,
        "customers were never answered": evidence.unanswered,
        "answers were neither a success nor a problem to repeat": evidence.unexpected,
        "orders were charged twice (I3)": evidence.double_charges,
        "rules of the provider were broken (I3)": evidence.breaches,
        "violations were found by the audit": evidence.violations,
    }
    for sentence, lines in found.items():
        if lines:
            yield f"{len(lines):,} {sentence}: {'; '.join(lines[:3])}"
    if evidence.not_at_rest:
        rest = ", ".join(f"{count:,} {what}" for what, count in evidence.not_at_rest.items())
        yield f"the service did not come to rest (I11): {rest}"
    for recovery in evidence.recoveries:
        if recovery.never:
            yield f"work never went on {recovery.what}: {recovery.never} times"


def _vacuous(evidence: Evidence) -> Iterator[str]:
    """What must have happened for the rest to mean anything."""
    if not evidence.answered:
        yield "no order was answered for"
    for status in ("confirmed", "rejected", "cancelled"):
        if not evidence.orders.get(status):
            yield f"no order was {status}"
    if not evidence.kills_landed:
        yield "no kill landed"
    for fault in evidence.faults:
        if fault.planned and not fault.landed:
            yield f"planned and never landed: {fault.label}"
    for name, count in evidence.counters.items():
        if not count:
            yield f"never moved: {name}"
