"""What was found stays said: beside later windows, and beside a whole audit that could not have found it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from audit import findings, runs
from audit.check import Violation
from audit.models import AuditRun
from audit.report import Report, audit_now
from tests.audit.test_runs import damage, gauge, last

pytestmark = pytest.mark.django_db

TOTAL = "an_orders_total_is_the_sum_of_its_lines"
BOOK = "provider_ledger_charge_ours_only"


def overcharge(*order_ids, by=1):
    for order_id in order_ids:
        damage("UPDATE orders_order SET total_minor = total_minor + %s WHERE id = %s", by, order_id)


def only_what_comes(*, of):
    """The next run judges this order alone: no window holds it, and it is carried."""
    later = timezone.now() + timedelta(hours=1)
    AuditRun.objects.update(
        judged_until=later, began_at=timezone.now() - timedelta(hours=1), carried=[str(order_id) for order_id in of]
    )
    assert runs.run_if_due()


def report(*violations, with_ledgers=True, unjudged=(), snapshot_after=None):
    return Report(
        violations=violations,
        judged={},
        taken={},
        seconds=0.0,
        snapshot_after=snapshot_after or timezone.now(),
        with_ledgers=with_ledgers,
        unjudged=unjudged,
    )


def found(check, *rows, count=None):
    return Violation(promise="I9", check=check, summary="", rows=rows, count=count or len(rows))


def test_two_windows_that_find_different_rows_count_both(history):
    overcharge(history["confirmed"], history["cancelled"])
    runs.run_if_due()
    assert last().violations[TOTAL]["count"] == 2

    overcharge(history["declined"])
    only_what_comes(of=[history["declined"]])

    kept = last().violations[TOTAL]
    assert kept["count"] == 3
    assert {row["order_id"] for row in kept["rows"]} == {
        str(history[name]) for name in ("confirmed", "cancelled", "declined")
    }


def test_a_row_that_two_windows_find_counts_once(history):
    overcharge(history["confirmed"])
    runs.run_if_due()
    overcharge(history["confirmed"])  # the row tells another total now
    only_what_comes(of=[history["confirmed"]])

    assert last().violations[TOTAL]["count"] == 1


def test_a_count_beyond_the_rows_that_are_kept_does_not_shrink():
    now = timezone.now()
    many = findings.merged({}, [found("c", {"order_id": 1}, count=5_000)], now=now)

    assert findings.merged(many, [found("c", {"order_id": 2})], now=now)["c"]["count"] == 5_000


def test_a_whole_audit_does_not_end_the_alarm_of_what_happened_while_it_ran(history):
    runs.run_if_due()
    whole = audit_now(at_rest=False, with_ledgers=False)
    overcharge(history["confirmed"])
    only_what_comes(of=[history["confirmed"]])
    assert last().violations[TOTAL]["count"] == 1

    runs.keep_whole(whole)
    assert last().violations[TOTAL]["count"] == 1

    overcharge(history["confirmed"], by=-1)
    runs.keep_whole(audit_now(at_rest=False, with_ledgers=False))
    assert last().violations == {}


def test_a_whole_audit_before_any_run_is_kept_and_the_first_run_judges_what_it_would_have(history):
    overcharge(history["confirmed"])
    runs.keep_whole(audit_now(at_rest=False, with_ledgers=False))
    assert gauge()["I9"] > 0

    assert runs.run_if_due()
    assert last().judged["orders"] == len(history)
    assert last().carried == [str(history["under_way"])]


@pytest.mark.parametrize("whole", [{"with_ledgers": False}, {"unjudged": ["the carrier could not be asked"]}])
def test_what_the_providers_books_told_stays_until_all_of_them_are_read_again(whole):
    runs.keep_whole(report(found(BOOK, {"key": "a"})))

    runs.keep_whole(report(**whole))
    assert set(last().violations) == {BOOK}

    runs.keep_whole(report())
    assert last().violations == {}


def test_an_entry_of_a_version_that_noted_no_time_ends_with_the_next_whole_audit():
    kept = {TOTAL: {"promise": "I9", "count": 1, "rows": []}}

    assert findings.after_whole(kept, report(), now=timezone.now()) == {}


def test_a_run_and_a_whole_audit_hold_the_row_while_they_write_it(history):
    with connection.execute_wrapper(statements := Statements()):
        runs.keep_whole(report())
        runs._keep(report(), began_at=timezone.now(), judged_until=timezone.now(), seconds=0.0, size=1_000)

    reads = [sql for sql in statements.texts if 'FROM "audit_auditrun"' in sql]
    assert len(reads) == 2
    assert all("FOR UPDATE" in sql for sql in reads)


class Statements:
    def __init__(self):
        self.texts = []

    def __call__(self, execute, sql, *rest):
        self.texts.append(sql)
        return execute(sql, *rest)
