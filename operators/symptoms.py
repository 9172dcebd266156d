"""What of a snapshot needs a look: one sentence each, and where the rows stand that it is about.

Guarantee: what is worst comes first, and nothing here when all is well. Not guaranteed: a cause; a breaker that is open
makes sagas wait, and both are told.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from audit.live import Findings
from outbox.live import Pulse, Waiting
from providers.selectors import BreakerReading
from sagas.live import Standing

from .brokers import Broker
from .counters import Requests
from .snapshot import Missing, Snapshot
from .wording import count, duration, many

# As the alerts of docs/operations.md have it.
SILENT_SECONDS = 60.0
WAITING_SECONDS = 300.0
JUDGED_SECONDS = 1_800.0
BOOKS_SECONDS = 600.0
KINDS = ("relay", "worker", "remote-worker", "beat")


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """`is_bad`: somebody must act; else somebody should look."""

    text: str
    address: str
    is_bad: bool = False


def of(snapshot: Snapshot) -> list[Symptom]:
    """Those of a snapshot, the bad ones first."""
    found = [
        *_audit(snapshot.known("audit")),
        *_sagas(snapshot.known("sagas") or ()),
        *_waiting(snapshot.known("waiting") or ()),
        *_alive(snapshot.known("heartbeats")),
        *_breakers(snapshot.known("breakers") or ()),
        *_brokers(snapshot.known("brokers") or ()),
        *_requests(snapshot.known("requests")),
        *_missing(snapshot),
    ]
    return sorted(found, key=lambda one: not one.is_bad)


def address(page: str, **query: object) -> str:
    """A list of the admin, filtered; nothing where there is no such list."""
    try:
        path = reverse(f"admin:{page}_changelist")
    except NoReverseMatch:
        return ""
    return f"{path}?{urlencode(query)}" if query else path


def _audit(found: Findings | None) -> Iterator[Symptom]:
    if found is None:
        return
    if found.violations:
        promises = ", ".join(sorted({one.promise for one in found.violations}))
        text = f"{many(found.violations_count, 'row')} at least violate a promise: {promises}"
        yield Symptom(text=text, address="#audit", is_bad=True)
    if found.differences:
        text = f"Our books and the providers' differ in {many(found.differences_count, 'entry', 'entries')}"
        yield Symptom(text=text, address=address("audit_difference", state__exact="open"))
    if found.judged_age_seconds is not None and found.judged_age_seconds > JUDGED_SECONDS:
        yield Symptom(
            text=f"The audit has judged nothing of the last {duration(found.judged_age_seconds)}", address="#audit"
        )
    if found.books_age_seconds is not None and found.books_age_seconds > BOOKS_SECONDS:
        yield Symptom(text=f"The books were last compared {duration(found.books_age_seconds)} ago", address="#audit")


def _sagas(live: Sequence[Standing]) -> Iterator[Symptom]:
    if stuck := sum(one.count for one in live if one.status == "needs_attention"):
        verb = "waits" if stuck == 1 else "wait"
        rows = address("sagas_saga", status__exact="needs_attention")
        yield Symptom(text=f"{many(stuck, 'saga')} {verb} for a person", address=rows, is_bad=True)
    if failing := sum(one.with_error for one in live if one.status == "running"):
        yield Symptom(
            text=f"{many(failing, 'saga')} under way with an error", address=address("sagas_saga", stuck="true")
        )


def _waiting(destinations: Sequence[Waiting]) -> Iterator[Symptom]:
    for one in (one for one in destinations if one.dead):
        rows = address("outbox_outboxmessage", state__exact="dead", destination=one.destination)
        yield Symptom(text=f"{many(one.dead, 'dead message')} for {one.destination}", address=rows, is_bad=True)
    for one in (one for one in destinations if one.paused is not None):
        yield Symptom(
            text=f"{one.destination} is paused: {one.paused or 'no reason given'}",
            address=address("outbox_destination", q=one.destination),
        )
    for one in (one for one in destinations if one.oldest_age_seconds > WAITING_SECONDS):
        rows = address("outbox_outboxmessage", state__exact="open", destination=one.destination)
        text = f"{one.destination}: {count(one.open)} open, the oldest for {duration(one.oldest_age_seconds)}"
        yield Symptom(text=text, address=rows)


def _alive(pulses: Iterable[Pulse] | None) -> Iterator[Symptom]:
    if pulses is None:
        return
    youngest: dict[str, float] = {}
    for pulse in pulses:
        youngest[pulse.kind] = min(pulse.age_seconds, youngest.get(pulse.kind, pulse.age_seconds))
    for kind in KINDS:
        rows = address("outbox_heartbeat", kind__exact=kind)
        if kind not in youngest:
            yield Symptom(text=f"No {kind} was seen within a day", address=rows, is_bad=True)
        elif youngest[kind] > SILENT_SECONDS:
            yield Symptom(text=f"No {kind} was seen for {duration(youngest[kind])}", address=rows, is_bad=True)


def _breakers(breakers: Sequence[BreakerReading]) -> Iterator[Symptom]:
    for one in (one for one in breakers if one.state != "closed"):
        text = f"The breaker of {one.provider} is {one.state.replace('_', ' ')}: {one.reason or 'no reason given'}"
        yield Symptom(text=text, address="#providers")


def _brokers(brokers: Sequence[Broker]) -> Iterator[Symptom]:
    for one in (one for one in brokers if one.trouble):
        yield Symptom(text=f"{one.title}: {one.trouble}", address="#broker")


def _requests(requests: Requests | None) -> Iterator[Symptom]:
    if requests is not None and requests.seconds is not None and requests.failed:
        yield Symptom(
            text=f"{many(requests.failed, 'order request')} failed with a 5xx", address="#intake", is_bad=True
        )


def _missing(snapshot: Snapshot) -> Iterator[Symptom]:
    for name, figure in snapshot.figures.items():
        if isinstance(figure, Missing):
            yield Symptom(text=f"The figures of {name} are missing: {figure.reason}", address="#main")
