"""What the live page tells of the audit and the books, against rows made for it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit import live
from audit.models import AuditRun, Difference, Position

pytestmark = pytest.mark.django_db


def ago(seconds: float):
    return timezone.now() - timedelta(seconds=seconds)


def test_before_the_first_run_nothing_is_known():
    found = live.findings()

    assert (found.violations, found.differences) == ((), ())
    assert (found.run_age_seconds, found.judged_age_seconds, found.books_age_seconds) == (None, None, None)


def test_violations_are_told_with_their_promise_and_count_and_ages_with_the_last_run():
    AuditRun.objects.create(
        name="audit",
        began_at=ago(60),
        judged_until=ago(600),
        milliseconds=5,
        violations={"no_order_is_lost": {"promise": "I1", "count": 3, "rows": [{"order_id": "x"}]}},
    )
    Position.objects.create(object="charge", ours="0" * 32, moved_at=ago(120))

    found = live.findings()

    assert found.violations == (live.Violated(check="no_order_is_lost", promise="I1", count=3),)
    assert found.violations_count == 3
    ages = (found.run_age_seconds, found.judged_age_seconds, found.books_age_seconds)
    assert ages == (pytest.approx(60, abs=30), pytest.approx(600, abs=30), pytest.approx(120, abs=30))


def test_open_differences_are_told_by_kind_and_object_and_ended_ones_not_at_all():
    for number, state in enumerate(["open", "open", "vanished"]):
        Difference.objects.create(
            provider="payments",
            object="charge",
            kind="amount",
            provider_key=f"key {number}",
            state=state,
            first_seen_at=ago(600 * (number + 1)),
            ended_at=None if state == "open" else timezone.now(),
        )

    [one] = live.findings().differences

    assert (one.kind, one.object, one.count) == ("amount", "charge", 2)
    assert one.oldest_age_seconds == pytest.approx(1200, abs=60)
