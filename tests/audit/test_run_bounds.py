"""The frequent audit's bounds: its time, its window, and how many orders under way it carries."""

from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from audit import report as reports
from audit import runs, scope
from audit.models import AuditRun

pytestmark = pytest.mark.django_db


class Clock:
    """time.monotonic, which only a statement moves."""

    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (runs, scope, reports):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def errors(monkeypatch):
    logged = []
    monkeypatch.setattr(runs.log, "error", lambda event, **_: logged.append(event))
    return logged


def last():
    return AuditRun.objects.get(name=runs.NAME)


def slow(monkeypatch, clock, *, seconds):
    """Every check takes so long by the audit's clock; gives the statement timeout that each was under."""
    timeouts = []
    ask = reports._ask

    def asked(*arguments):
        found = ask(*arguments)
        with connection.cursor() as cursor:
            cursor.cursor.execute("SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'")
            timeouts.append(cursor.cursor.fetchone()[0])
        clock.now += seconds
        return found

    monkeypatch.setattr(reports, "_ask", asked)
    return timeouts


def test_a_run_asks_nothing_more_when_its_time_is_over(history, monkeypatch, clock, errors):
    timeouts = slow(monkeypatch, clock, seconds=2)

    runs.run_if_due()

    assert timeouts == [8_000, 7_000, 5_000, 3_000, 1_000]
    assert clock.now - 1_000 == runs.RUN_ENDS_SECONDS + 1  # the fifth check began in time, and took two seconds
    assert errors == ["audit.could_not_judge"]


def test_a_statement_of_the_database_is_cut_off_at_the_end_of_the_run(history, monkeypatch, errors):
    monkeypatch.setattr(scope, "BY_INDEX", "SELECT pg_sleep(60)")
    monkeypatch.setattr(runs, "RUN_ENDS_SECONDS", 1.0)

    runs.run_if_due()

    assert errors == ["audit.could_not_judge"]
    assert last().judged == {}


def test_no_timeout_of_a_run_is_left_behind(history):
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        before = cursor.fetchone()
        runs.run_if_due()
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == before


def test_a_window_that_could_not_be_judged_comes_again_at_half_its_size(history, monkeypatch, errors):
    real = runs.audit_scope
    monkeypatch.setattr(runs, "audit_scope", _cannot)
    now = timezone.now()
    for size in (25_000, 12_500, 6_250, 3_125, 1_562, 1_000, 1_000):
        runs.run(AuditRun.objects.filter(name=runs.NAME).first(), now=now)
        assert last().window_messages == size
    assert last().judged_until == now - runs.FIRST_WINDOW
    assert errors == ["audit.could_not_judge"] * 7

    monkeypatch.setattr(runs, "audit_scope", real)
    for size in (1_250, 1_562):
        runs.run(last(), now=timezone.now())
        assert last().window_messages == size
    assert last().judged["orders"] == len(history)


def test_a_window_never_grows_beyond_its_most(history):
    runs.run_if_due()

    assert last().window_messages == runs.WINDOW_MESSAGES


def test_a_worker_cut_off_by_its_time_limit_leaves_a_smaller_window(history, monkeypatch):
    monkeypatch.setattr(runs, "audit_scope", _cut_off)

    with pytest.raises(SoftTimeLimitExceeded):
        runs.run_if_due()

    assert last().window_messages == runs.WINDOW_MESSAGES // 2


def test_what_an_earlier_window_of_the_run_found_outlives_the_one_that_failed(history, monkeypatch):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM notifications_notification")
    monkeypatch.setattr(runs, "WINDOW_MESSAGES", 20)
    monkeypatch.setattr(runs, "WINDOW_MESSAGES_MIN", 1)
    monkeypatch.setattr(runs, "WINDOW_OVERLAP", timedelta(milliseconds=1))
    real, windows = runs.audit_scope, []

    def once(*arguments, **options):
        windows.append(arguments)
        return real(*arguments, **options) if len(windows) == 1 else _cannot()

    monkeypatch.setattr(runs, "audit_scope", once)
    runs.run_if_due()

    assert len(windows) == 2
    assert "every_end_is_told" in last().violations
    assert last().window_messages == 10


def test_more_orders_under_way_than_can_be_carried_stop_the_window_and_none_is_forgotten(history, monkeypatch, errors):
    """They ended while their messages waited; when those are through, each of them is judged."""
    ended = [history["confirmed"], history["cancelled"], history["declined"]]
    _notices(ended, "state = 'open', finished_at = NULL")
    monkeypatch.setattr(reports, "UNSETTLED_MAX", 1)
    now = timezone.now()
    runs.run(None, now=now)
    assert (errors, last().carried) == (["audit.too_many_under_way"], [])
    assert last().judged_until == now - runs.FIRST_WINDOW

    monkeypatch.setattr(reports, "UNSETTLED_MAX", 10_000)
    _notices(ended, "state = 'done', finished_at = now()")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM notifications_notification WHERE order_id = ANY(%s)", [ended])
    runs.run(last(), now=timezone.now())

    told = last().violations["every_end_is_told"]["rows"]
    assert {row["order_id"] for row in told} == {str(order_id) for order_id in ended}
    assert last().carried == [str(history["under_way"])]
    assert last().judged_until > now - runs.FIRST_WINDOW


def test_exactly_as_many_under_way_as_can_be_carried_are_carried(history, monkeypatch, errors):
    monkeypatch.setattr(reports, "UNSETTLED_MAX", 1)

    runs.run_if_due()

    assert (errors, last().carried) == ([], [str(history["under_way"])])


def _notices(orders, changes):
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE outbox_outboxmessage SET {changes} WHERE aggregate_id = ANY(%s)"
            " AND destination LIKE 'notifications.order%%'",
            [orders],
        )


def _cannot(*_, **__):
    raise runs.CannotJudge("away")


def _cut_off(*_, **__):
    raise SoftTimeLimitExceeded


@pytest.mark.django_db(transaction=True)
def test_outside_any_transaction_a_run_reads_one_snapshot_and_keeps_its_result(monkeypatch):
    """As a worker's tick does; the other tests run inside a transaction of their own."""
    isolation = []
    ask = reports._ask

    def asked(*arguments):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
            isolation.append(cursor.fetchone())
        return ask(*arguments)

    monkeypatch.setattr(reports, "_ask", asked)

    assert runs.run_if_due()

    assert set(isolation) == {("repeatable read", "on")}
    assert last().violations == {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_temp.audit_order')")
        assert cursor.fetchone() == (None,)
