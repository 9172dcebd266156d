"""Replays, conflicts and intake times: differences of counters between two looks, and quantiles of their buckets."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from operators import counters
from operators.counters import Tally, between, quantile, tallied

HALF_AND_WHOLE = ((0.1, 50.0), (0.2, 100.0), (float("inf"), 100.0))


@pytest.fixture
def counted(monkeypatch):
    """Counters as the service has them, of this test alone; answers their registry."""
    registry = CollectorRegistry()
    monkeypatch.setattr(counters.metrics, "counted", registry.collect)
    return registry


def requests(registry: CollectorRegistry) -> Histogram:
    labels = ["route", "method", "status", "replay"]
    return Histogram("http_request_seconds", "x", labels, registry=registry, buckets=(0.1, 1.0))


class TestLook:
    def test_the_first_look_tells_all_since_the_counters_began(self, counted):
        Counter("idempotency_replays_total", "x", registry=counted).inc(3)

        seen = counters.look()

        assert (seen.seconds, seen.replays, seen.conflicts) == (None, 3, 0)

    def test_later_looks_tell_what_came_since(self, counted):
        replays = Counter("idempotency_replays_total", "x", registry=counted)
        conflicts = Counter("idempotency_conflicts_total", "x", registry=counted)
        replays.inc(3)
        counters.look()
        replays.inc(2)
        conflicts.inc()

        seen = counters.look()

        assert seen.seconds is not None
        assert (seen.replays, seen.conflicts) == (2, 1)

    def test_a_look_that_is_older_than_the_window_is_forgotten(self, counted):
        counters._samples.append((0.0 - counters.WINDOW_SECONDS, Tally(replays=1)))

        assert counters.look().seconds is None
        assert len(counters._samples) == 1


class TestTallied:
    def test_only_orders_requests_count_and_replays_stand_by_themselves(self, counted):
        times = requests(counted)
        times.labels("/orders", "POST", "201", "false").observe(0.05)
        times.labels("/orders", "POST", "201", "true").observe(0.05)
        times.labels("/orders", "POST", "503", "false").observe(2)
        times.labels("/orders", "GET", "200", "false").observe(0.05)
        times.labels("/products", "GET", "500", "false").observe(0.05)

        tally = tallied(counted.collect())

        assert (tally.requests, tally.failed) == (2, 1)
        assert tally.buckets == ((0.1, 1.0), (1.0, 1.0), (float("inf"), 2.0))


class TestBetween:
    def test_only_what_came_between_counts(self):
        earlier = Tally(buckets=((0.1, 50.0), (0.2, 50.0), (float("inf"), 50.0)))

        seen = between(earlier, Tally(buckets=HALF_AND_WHOLE), seconds=10)

        assert seen.requests == 50
        assert (seen.p50_seconds, seen.p95_seconds) == (pytest.approx(0.15), pytest.approx(0.195))

    def test_counters_that_were_emptied_count_from_nothing(self):
        earlier = Tally(replays=9, buckets=((0.1, 500.0), (float("inf"), 500.0)))

        seen = between(earlier, Tally(replays=1, buckets=HALF_AND_WHOLE), seconds=10)

        assert (seen.requests, seen.replays) == (100, 1)


@pytest.mark.parametrize(
    ("buckets", "share", "seconds"),
    [
        ((), 0.5, None),
        (((0.1, 0.0), (float("inf"), 0.0)), 0.5, None),
        (HALF_AND_WHOLE, 0.5, 0.1),
        (HALF_AND_WHOLE, 0.75, 0.15),
        (((0.1, 1.0), (float("inf"), 100.0)), 0.95, 0.1),
    ],
)
def test_a_quantile_stands_within_the_bucket_that_holds_it(buckets, share, seconds):
    assert quantile(buckets, share) == (None if seconds is None else pytest.approx(seconds))
