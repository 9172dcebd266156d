"""When to try again."""

from datetime import timedelta

import pytest

from outbox import backoff


@pytest.mark.parametrize(("attempts", "ceiling_seconds"), [(1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (1_000, 300)])
def test_the_wait_doubles_up_to_its_cap(monkeypatch, attempts, ceiling_seconds):
    monkeypatch.setattr("random.uniform", lambda low, high: high)

    assert backoff.delay(attempts) == timedelta(seconds=ceiling_seconds)


def test_s7_the_jitter_is_full(monkeypatch):
    """S7: a herd that failed together does not come back together."""
    bounds = []
    monkeypatch.setattr("random.uniform", lambda low, high: bounds.append((low, high)) or low)

    assert backoff.delay(3) == timedelta(0)
    assert bounds == [(0, 8.0)]
