"""What stands in no table: replays, conflicts and the time that an order's request takes, as this machine's processes
counted it.

Guarantee: asks no database; figures are of the last WINDOW_SECONDS once this process has looked for that long, before
that of a shorter time, and on the first look of all time; `seconds` says which. Not guaranteed: other machines.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import Metric

from orders_project import metrics

WINDOW_SECONDS = 300.0
# Not at every look: a window needs no finer grain.
APART_SECONDS = 10.0
INTAKE = {"route": "/orders", "method": "POST"}
REPLAYS = "idempotency_replays_total"
CONFLICTS = "idempotency_conflicts_total"
REQUESTS = "http_request_seconds"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counters at one moment. `buckets` are (upper bound in seconds, requests up to it), rising."""

    replays: float = 0.0
    conflicts: float = 0.0
    failed: float = 0.0
    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def requests(self) -> float:
        return self.buckets[-1][1] if self.buckets else 0.0


@dataclass(frozen=True, kw_only=True)
class Requests:
    """POST /orders of the last `seconds`; None: since the counters began. Times are None when there was none."""

    seconds: float | None
    requests: int
    failed: int
    replays: int
    conflicts: int
    p50_seconds: float | None
    p95_seconds: float | None


_samples: deque[tuple[float, Tally]] = deque()
_turn = threading.Lock()


def look() -> Requests:
    """The figures of the time since the oldest look that is within the window."""
    now, tally = time.monotonic(), tallied(metrics.counted())
    with _turn:
        while _samples and now - _samples[0][0] > WINDOW_SECONDS:
            _samples.popleft()
        began, before = _samples[0] if _samples else (None, Tally())
        if not _samples or now - _samples[-1][0] >= APART_SECONDS:
            _samples.append((now, tally))
    return between(before, tally, seconds=None if began is None else now - began)


def between(before: Tally, after: Tally, *, seconds: float | None) -> Requests:
    """What was counted between two moments; counters that were emptied meanwhile count from nothing."""
    if after.requests < before.requests:
        before = Tally()
    earlier = dict(before.buckets)
    buckets = [(bound, count - earlier.get(bound, 0.0)) for bound, count in after.buckets]
    return Requests(
        seconds=seconds,
        requests=round(after.requests - before.requests),
        failed=round(after.failed - before.failed),
        replays=round(max(after.replays - before.replays, 0)),
        conflicts=round(max(after.conflicts - before.conflicts, 0)),
        p50_seconds=quantile(buckets, 0.5),
        p95_seconds=quantile(buckets, 0.95),
    )


def tallied(families: Iterable[Metric]) -> Tally:
    """What matters here of all metrics. Replays are left out of the times: they write nothing."""
    counts = {REPLAYS: 0.0, CONFLICTS: 0.0}
    buckets: dict[float, float] = {}
    failed = 0.0
    for sample in (sample for family in families for sample in family.samples):
        if sample.name in counts:
            counts[sample.name] += sample.value
        if not sample.name.startswith(REQUESTS) or not INTAKE.items() <= sample.labels.items():
            continue
        if sample.name == f"{REQUESTS}_count" and sample.labels["status"].startswith("5"):
            failed += sample.value
        if sample.name == f"{REQUESTS}_bucket" and sample.labels["replay"] != "true":
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
    rising = tuple(sorted(buckets.items()))
    return Tally(replays=counts[REPLAYS], conflicts=counts[CONFLICTS], failed=failed, buckets=rising)


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """Between the bounds of the bucket that holds it, as if its requests were spread evenly; None without requests."""
    known = list(buckets)
    wanted = known[-1][1] * share if known else 0.0
    if not wanted:
        return None
    lower, below = 0.0, 0.0
    for bound, count in known:
        if count >= wanted:
            # The last bucket has no upper bound: at least its lower one.
            return lower if bound == float("inf") else lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower
