"""Collects the evidence: from the customers' log, the service's rows and metrics, the sandbox's books, and the audit.

Guarantees that nothing it could not find out counts as fine: it raises a LocalError instead.
"""

import json
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from local.drill.accounts import Accounts
from local.drill.chaos import Tally
from local.drill.counters import Metrics, Rows
from local.drill.probes import Recovery
from local.drill.schedule import Kind
from local.drill.service import Service
from local.drill.verdict import Evidence, FaultCount, RecoveryTime
from local.errors import LocalError

SANDBOX_KEY = {"Authorization": "Bearer sandbox-key"}


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the evidence comes from."""

    service: Service
    accounts: Accounts
    rows: Rows
    metrics: Metrics
    tally: Tally
    recoveries: tuple[Recovery, ...]


def evidence(sources: Sources, *, wanted: int) -> Evidence:
    accounts, rows = sources.accounts, sources.rows
    answered, there = accounts.order_ids, rows.order_ids()
    return Evidence(
        wanted=wanted,
        answered=accounts.placed,
        orders=rows.orders(),
        lost=sorted(answered - there),
        unclaimed=sorted(there - answered - rows.orders_of(accounts.gave_up)),
        doubled=accounts.doubled,
        torn=accounts.torn,
        unanswered=accounts.gave_up,
        unexpected=accounts.unexpected,
        double_charges=list(_double_charges(sources.service.stack.sandbox_url)),
        breaches=[f"{one['kind']}: {one['about']}" for one in _breaches(sources.service.stack.sandbox_url)],
        violations=list(_audit(sources.service)),
        not_at_rest=rows.not_at_rest(),
        faults=list(_faults(sources.tally)),
        counters=_counters(sources),
        recoveries=[_recovery(one) for one in sources.recoveries],
    )


def _faults(tally: Tally) -> Iterator[FaultCount]:
    planned, delivered, landed = tally.planned(), tally.delivered(), tally.landed()
    for label in sorted(planned):
        yield FaultCount(label=label, planned=planned[label], delivered=delivered[label], landed=landed[label])


def _counters(sources: Sources) -> dict[str, int]:
    """Each of them must move, or the drill proved nothing."""
    metrics, tally = sources.metrics, sources.tally
    resolved = metrics.by("saga_unknown_resolved_total", "became")
    commits = metrics.by("idempotency_unknown_commits_total", "found")
    return {
        "retries sent by customers": sources.accounts.retries,
        "answers replayed": metrics.total("idempotency_replays_total"),
        "conflicts told (409, 422)": metrics.total("idempotency_conflicts_total"),
        "messages lost by the broker": tally.count(Kind.WIPE, Kind.RESTART_BROKER),
        "messages delivered again": tally.count(Kind.REDELIVER),
        "duplicates suppressed": metrics.total("inbox_duplicates_total"),
        "takeovers": metrics.total("outbox_takeovers_total"),
        "stale epochs refused": metrics.total("outbox_stale_claims_total"),
        "unknown outcomes": metrics.total("saga_unknown_outcomes_total"),
        "unknown outcomes: found done": resolved["done"],
        "unknown outcomes: found absent": resolved["absent"],
        "commits unknown: landed": commits["landed"],
        "commits unknown: absent": commits["absent"],
        "compensations": sources.rows.undone(),
        "dead letters": tally.count(Kind.HOPELESS),
        "sessions ended": tally.count(Kind.END_SESSIONS),
    }


def _recovery(found: Recovery) -> RecoveryTime:
    return RecoveryTime(
        what=found.what,
        bound_seconds=found.bound_seconds,
        times=len(found.seconds),
        typical=statistics.median(found.seconds) if found.seconds else None,
        longest=found.longest,
        never=len(found.under_way),
    )


def _audit(service: Service) -> Iterator[str]:
    program = service.manage("audit", "--at-rest", "--json")
    told = next((line for line in reversed(program.said().splitlines()) if line.startswith("{")), None)
    status = program.process.returncode if program.process else None
    if told is None or status not in {0, 1}:
        raise LocalError(f"The audit could not judge (status {status}); its log is {program.log}.")
    for found in json.loads(told)["violations"]:
        first = ", ".join(f"{name} {value}" for name, value in found["rows"][0].items())
        yield f"{found['promise']} {found['check']}, {found['count']:,} rows: {found['summary']} ({first})"


def _breaches(sandbox_url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _ask(sandbox_url, "/ledger/violations")["violations"]
    return found


def _double_charges(sandbox_url: str) -> Iterator[str]:
    """By the provider's own books, page by page: captured and not given back, more than once for one order."""
    live: Counter[str] = Counter()
    after = ""
    while True:
        page = _ask(sandbox_url, f"/payments/charges?limit=500&after={after}")
        for charge in page["data"]:
            live[charge["order_id"]] += charge["status"] == "captured"
        if not page["has_more"]:
            break
        after = page["data"][-1]["id"]
    yield from (f"order {order_id}: {count} charges" for order_id, count in live.items() if count > 1)


def _ask(sandbox_url: str, path: str) -> Any:
    try:
        answer = requests.get(sandbox_url + path, headers=SANDBOX_KEY, timeout=30)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise LocalError(f"The sandbox could not be asked for its books: {error}") from None
    return answer.json()
