"""The frequent audit: nothing falls between two runs, what was found stays said, and no run holds up its process."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audit import runs, telemetry
from audit.models import AuditRun
from tests.support.drive import deliver, drive
from tests.support.shop import START

pytestmark = pytest.mark.django_db


@pytest.fixture
def errors(monkeypatch):
    """What was logged as an error: (event, check)."""
    logged = []
    monkeypatch.setattr(runs.log, "error", lambda event, **facts: logged.append((event, facts.get("check"))))
    return logged


def due():
    """The interval of the last run is over, and its window with it."""
    long_ago = timezone.now() - timedelta(minutes=6)
    AuditRun.objects.update(began_at=long_ago, judged_until=long_ago)


def last():
    return AuditRun.objects.get(name=runs.NAME)


def damage(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def gauge():
    samples = {metric.name: metric.samples for metric in telemetry.collect()}
    return {sample.labels["promise"]: sample.value for sample in samples["audit_violations"]}


def test_a_first_run_judges_the_last_hour(history, errors):
    assert runs.run_if_due()

    assert (last().judged["orders"], last().judged["settled_orders"]) == (len(history), len(history) - 1)
    assert (last().violations, errors) == ({}, [])


def test_a_run_waits_for_its_interval(history):
    runs.run_if_due()

    assert not runs.run_if_due()
    due()
    assert runs.run_if_due()


def test_a_run_that_ended_for_lack_of_time_goes_on_at_once(history, monkeypatch):
    monkeypatch.setattr(runs, "WINDOW_MESSAGES", 5)
    monkeypatch.setattr(runs, "OVERLAP", timedelta(0))
    monkeypatch.setattr(runs, "WINDOW_OVERLAP", timedelta(0))
    monkeypatch.setattr(runs, "RUN_MAX_SECONDS", -1)
    runs.run_if_due()
    assert last().judged["messages"] < 10
    first = last().judged_until

    assert runs.run_if_due()
    assert last().judged_until > first


def test_windows_leave_no_order_out(history, monkeypatch):
    """Whatever the size of the windows, what is broken is found."""
    monkeypatch.setattr(runs, "WINDOW_MESSAGES", 5)
    monkeypatch.setattr(runs, "run_ends_seconds", lambda: 600)
    monkeypatch.setattr(runs, "WINDOW_OVERLAP", timedelta(milliseconds=1))
    monkeypatch.setattr(runs, "RUN_MAX_SECONDS", 600)
    damage("DELETE FROM notifications_notification WHERE kind <> 'refunded'")
    told = {order_id for name, order_id in history.items() if name != "under_way"}
    seen = set()
    monkeypatch.setattr(
        runs, "_keep", lambda report, **_: seen.update(r["order_id"] for v in report.violations for r in v.rows)
    )

    runs.run(None, now=timezone.now())

    assert seen == told


def test_an_order_under_way_is_carried_until_it_can_be_judged(shop, errors):
    """However long ago its last message was."""
    order = shop.order()
    deliver(START)
    runs.run_if_due()
    assert last().carried == [str(order.pk)]

    drive()
    damage("DELETE FROM notifications_notification")
    damage("UPDATE outbox_outboxmessage SET key = gen_random_uuid()")  # no window will ever hold them
    AuditRun.objects.update(
        judged_until=timezone.now() + timedelta(hours=1), began_at=timezone.now() - timedelta(hours=1)
    )
    assert runs.run_if_due()

    assert [check for _, check in errors] == ["every_end_is_told"]
    assert last().carried == []


def test_what_was_found_stays_said_until_a_whole_audit_does_not_find_it(history, errors):
    damage("DELETE FROM notifications_notification WHERE order_id = %s", history["confirmed"])
    runs.run_if_due()
    assert errors == [("audit.violation", "every_end_is_told")]
    assert (gauge()["I4"], gauge()["I3"]) == (1, 0)

    AuditRun.objects.update(
        judged_until=timezone.now() + timedelta(hours=1), began_at=timezone.now() - timedelta(hours=1)
    )
    assert runs.run_if_due()
    assert gauge()["I4"] == 1

    damage(
        "INSERT INTO notifications_notification (id, order_id, kind, recipient_id, status, facts, error, sent_at)"
        " VALUES (uuidv7(), %s, 'confirmed', 1, 'sent', '{}', '', now())",
        history["confirmed"],
    )
    call_command("audit", "--no-ledgers")
    assert gauge()["I4"] == 0


def test_a_database_that_does_not_answer_is_logged_and_moves_nothing(history, errors, monkeypatch):
    runs.run_if_due()
    due()
    before = last().judged_until
    monkeypatch.setattr(runs, "audit_scope", _cannot)

    runs.run_if_due()

    assert errors == [("audit.could_not_judge", None)]
    assert last().judged_until == before


def _cannot(*_, **__):
    raise runs.CannotJudge("away")


def test_before_the_first_run_there_is_no_figure():
    assert gauge() == {}
