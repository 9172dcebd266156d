"""Each symptom against the figure that makes it, and the list that its link leads to; none when all is well."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.live import Differing, Findings, Violated
from operators import symptoms
from operators.brokers import Broker
from operators.counters import Requests
from operators.snapshot import ELSEWHERE, READS, Missing, Snapshot
from outbox.live import Pulse, Waiting
from providers.selectors import BreakerReading
from sagas.live import Standing
from tests.support import staff

NAME = "fulfil_order.charge_payment"


def waiting(**changes: Any) -> Waiting:
    fields = {"open": 0, "due": 0, "running": 0, "failing": 0, "oldest_age_seconds": 0.0, "dead": 0, "per_second": None}
    return Waiting(destination=NAME, **{**fields, "paused": None, **changes})


def findings(**changes: Any) -> Findings:
    ages = {"run_age_seconds": 1.0, "judged_age_seconds": 600.0, "books_age_seconds": 60.0}
    return Findings(**{"violations": (), "differences": (), **ages, **changes})


def saga(status: str, *, with_error: int = 0) -> Standing:
    return Standing(
        status=status, direction="forward", step="x", count=3, with_error=with_error, oldest_age_seconds=1.0
    )


def requests(*, failed: int = 0, seconds: float | None = 60.0) -> Requests:
    return Requests(
        seconds=seconds, requests=9, failed=failed, replays=0, conflicts=0, p50_seconds=0.1, p95_seconds=0.2
    )


def alive(*kinds: str, age_seconds: float = 1.0) -> list[Pulse]:
    return [Pulse(kind=kind, process=f"{kind}@one", age_seconds=age_seconds) for kind in kinds or symptoms.KINDS]


WELL = {
    "audit": findings(),
    "sagas": [saga("running")],
    "waiting": [waiting(open=5, oldest_age_seconds=20.0)],
    "heartbeats": alive(),
    "breakers": [BreakerReading(provider="payments")],
    "brokers": [Broker(title="broker")],
    "requests": requests(),
    "failures": [],
    "steps": [],
    "orders": None,
}
MESSAGES, SAGAS = "/admin/outbox/outboxmessage/", "/admin/sagas/saga/"
SYMPTOMS = [
    (
        {"audit": findings(violations=(Violated(check="c", promise="I3", count=2),))},
        "2 rows at least violate a promise: I3",
        "#audit",
        True,
    ),
    (
        {"audit": findings(differences=(Differing(kind="amount", object="charge", count=1, oldest_age_seconds=1.0),))},
        "Our books and the providers' differ in 1 entry",
        "/admin/audit/difference/?state__exact=open",
        False,
    ),
    (
        {"audit": findings(judged_age_seconds=3600.0)},
        "The audit has judged nothing of the last 60 min",
        "#audit",
        False,
    ),
    ({"audit": findings(books_age_seconds=900.0)}, "The books were last compared 15 min ago", "#audit", False),
    (
        {"sagas": [saga("needs_attention")]},
        "3 sagas wait for a person",
        f"{SAGAS}?status__exact=needs_attention",
        True,
    ),
    ({"sagas": [saga("running", with_error=1)]}, "1 saga under way with an error", f"{SAGAS}?stuck=true", False),
    (
        {"waiting": [waiting(dead=2)]},
        f"2 dead messages for {NAME}",
        f"{MESSAGES}?state__exact=dead&destination={NAME}",
        True,
    ),
    (
        {"waiting": [waiting(paused="breaker open")]},
        f"{NAME} is paused: breaker open",
        f"/admin/outbox/destination/?q={NAME}",
        False,
    ),
    (
        {"waiting": [waiting(open=10_000, oldest_age_seconds=900.0)]},
        f"{NAME}: 10,000+ open, the oldest for 15 min",
        f"{MESSAGES}?state__exact=open&destination={NAME}",
        False,
    ),
    (
        {"heartbeats": alive("relay", "worker", "remote-worker")},
        "No beat was seen within a day",
        "/admin/outbox/heartbeat/?kind__exact=beat",
        True,
    ),
    (
        {"heartbeats": [*alive("worker", "remote-worker", "beat"), *alive("relay", age_seconds=180.0)]},
        "No relay was seen for 3 min",
        "/admin/outbox/heartbeat/?kind__exact=relay",
        True,
    ),
    (
        {"breakers": [BreakerReading(provider="shipping", state="half_open", reason="the trial call failed")]},
        "The breaker of shipping is half open: the trial call failed",
        "#providers",
        False,
    ),
    ({"brokers": [Broker(title="Celery's broker", trouble="away: x")]}, "Celery's broker: away: x", "#broker", False),
    ({"requests": requests(failed=2)}, "2 order requests failed with a 5xx", "#intake", True),
    ({"steps": Missing(reason="no answer")}, "The figures of steps are missing: no answer", "#main", False),
]


def snapshot(**changes: Any) -> Snapshot:
    return Snapshot(taken_at=datetime(2026, 1, 1, tzinfo=UTC), figures={**WELL, **changes})


def test_every_figure_is_looked_at():
    assert set(WELL) == {*READS, *ELSEWHERE}


def test_when_all_is_well_there_is_none():
    assert symptoms.of(snapshot()) == []


@pytest.mark.parametrize(("changes", "text", "address", "is_bad"), SYMPTOMS, ids=[one[1] for one in SYMPTOMS])
def test_a_symptom_says_what_it_is_and_leads_to_its_rows(changes, text, address, is_bad):
    [found] = symptoms.of(snapshot(**changes))

    assert (found.text, found.address, found.is_bad) == (text, address, is_bad)


def test_what_somebody_must_act_on_comes_first():
    found = symptoms.of(
        snapshot(brokers=[Broker(title="b", trouble="away")], waiting=[waiting(dead=1, paused="breaker open")])
    )

    assert [one.is_bad for one in found] == [True, False, False]


def test_a_kind_that_has_one_living_process_is_well_whatever_became_of_others():
    pulses = [*alive(), *alive(age_seconds=4_000.0)]

    assert symptoms.of(snapshot(heartbeats=pulses)) == []


def test_failures_of_before_this_process_looked_are_no_news():
    assert symptoms.of(snapshot(requests=requests(failed=2, seconds=None))) == []


@pytest.mark.django_db
def test_every_link_opens_a_list_that_is_filtered():
    client = staff.root()
    for address in {one[2] for one in SYMPTOMS if one[2].startswith("/")}:
        with CaptureQueriesContext(connection):
            answer = client.get(address)
        assert (address, answer.status_code) == (address, 200)
        assert "e=1" not in getattr(answer, "url", "")
