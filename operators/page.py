"""Figures arranged as the live page shows them: what stands at its top, and what is compared within one panel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.live import Findings
from outbox.live import COUNTED_MAX, Pulse, Waiting
from sagas.live import Standing, StepTimes

from .counters import Requests
from .snapshot import Snapshot
from .symptoms import KINDS, SILENT_SECONDS, WAITING_SECONDS, address
from .wording import count, duration, many

GROUPS = {
    ("needs_attention", ""): "Waiting for a person",
    ("running", "forward"): "Under way",
    ("running", "backward"): "Being undone",
}


@dataclass(frozen=True, kw_only=True)
class Vital:
    """One large figure; `state` is "well", "look" or "bad", said in words too."""

    label: str
    value: str
    detail: str
    address: str
    state: str = "well"


def vitals(snapshot: Snapshot) -> list[Vital]:
    """The figures at the top; one that is missing says so."""
    made: Mapping[str, Callable[[Any], Vital]] = {
        "orders": _orders,
        "requests": _intake,
        "waiting": _backlog,
        "sagas": _attention,
        "failures": _dead,
        "audit": _audited,
    }
    return [
        make(figure)
        if (figure := snapshot.known(name)) is not None
        else Vital(label=name.capitalize(), value="–", detail="missing", address="#main", state="look")
        for name, make in made.items()
    ]


@dataclass(frozen=True, kw_only=True)
class WaitingTable:
    rows: Sequence[Waiting]
    most: int
    idle: int


def waiting(destinations: Sequence[Waiting]) -> WaitingTable:
    """Every destination in its place, so that a row is found where it was."""
    return WaitingTable(
        rows=destinations,
        most=max((one.open for one in destinations), default=0),
        idle=sum(one.is_idle for one in destinations),
    )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Live sagas of one kind, with the steps they stand at."""

    label: str
    status: str
    direction: str
    count: int
    oldest_age_seconds: float
    steps: Sequence[Standing]
    most: int


def saga_groups(live: Sequence[Standing]) -> list[Group]:
    """All kinds, those without a saga too: a panel keeps its shape."""
    most = max((one.count for one in live), default=0)
    return [
        _group(label, status, direction, [one for one in live if _is_of(one, status, direction)], most)
        for (status, direction), label in GROUPS.items()
    ]


@dataclass(frozen=True, kw_only=True)
class StepTable:
    rows: Sequence[StepTimes]
    longest_seconds: float


def steps(times: Sequence[StepTimes]) -> StepTable:
    return StepTable(rows=times, longest_seconds=max((one.p95_seconds or 0.0 for one in times), default=0.0))


@dataclass(frozen=True, kw_only=True)
class KindPulse:
    """The processes of one kind: how many of them live, and the youngest sign of it."""

    kind: str
    alive: int
    silent: int
    age_seconds: float | None

    @property
    def is_well(self) -> bool:
        return self.age_seconds is not None and self.age_seconds <= SILENT_SECONDS


def pulses(seen: Sequence[Pulse]) -> list[KindPulse]:
    """The kinds that a whole service has, and what else was seen."""
    others = sorted({pulse.kind for pulse in seen} - set(KINDS))
    return [_kind(kind, [pulse.age_seconds for pulse in seen if pulse.kind == kind]) for kind in (*KINDS, *others)]


def _kind(kind: str, ages: Sequence[float]) -> KindPulse:
    alive = sum(age <= SILENT_SECONDS for age in ages)
    return KindPulse(kind=kind, alive=alive, silent=len(ages) - alive, age_seconds=min(ages, default=None))


def _is_of(one: Standing, status: str, direction: str) -> bool:
    return one.status == status and direction in ("", one.direction)


def _group(label: str, status: str, direction: str, found: Sequence[Standing], most: int) -> Group:
    return Group(
        label=label,
        status=status,
        direction=direction,
        count=sum(one.count for one in found),
        oldest_age_seconds=max((one.oldest_age_seconds for one in found), default=0.0),
        steps=found,
        most=most,
    )


def _orders(pace: Any) -> Vital:
    return Vital(
        label="Orders a minute",
        value=f"{pace.last_full.placed:,}",
        detail=f"{pace.last_full.ended:,} ended",
        address=address("orders_order"),
    )


def _intake(requests: Requests) -> Vital:
    return Vital(
        label="Intake, p95",
        value="–" if requests.p95_seconds is None else duration(requests.p95_seconds),
        detail=many(requests.requests, "request"),
        address="#intake",
        state="bad" if requests.failed and requests.seconds is not None else "well",
    )


def _backlog(destinations: Sequence[Waiting]) -> Vital:
    oldest = max((one.oldest_age_seconds for one in destinations), default=0.0)
    total = sum(one.open for one in destinations)
    is_least = any(one.open >= COUNTED_MAX for one in destinations)
    return Vital(
        label="Messages waiting",
        value=f"{total:,}{'+' if is_least else ''}",
        detail=f"oldest {duration(oldest)}" if total else "nothing waits",
        address=address("outbox_outboxmessage", state__exact="open"),
        state="look" if oldest > WAITING_SECONDS else "well",
    )


def _attention(live: Sequence[Standing]) -> Vital:
    stuck = sum(one.count for one in live if one.status == "needs_attention")
    under_way = sum(one.count for one in live) - stuck
    return Vital(
        label="Sagas that need you",
        value=count(stuck),
        detail=f"{count(under_way)} under way",
        address=address("sagas_saga", status__exact="needs_attention"),
        state="bad" if stuck else "well",
    )


def _dead(failures: Sequence[Any]) -> Vital:
    dead = sum(one.count for one in failures if one.is_dead)
    failing = sum(one.count for one in failures if not one.is_dead)
    return Vital(
        label="Dead messages",
        value=count(dead),
        detail=f"{count(failing)} tried again" if failing else "none tried again",
        address=address("outbox_outboxmessage", stuck="true"),
        state="bad" if dead else "look" if failing else "well",
    )


def _audited(found: Findings) -> Vital:
    return Vital(
        label="Broken promises",
        value=count(found.violations_count),
        detail=f"{many(found.differences_count, 'difference')} with the books",
        address="#audit",
        state="bad" if found.violations else "look" if found.differences else "well",
    )
