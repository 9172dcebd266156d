"""`manage.py audit`: what people and programs read, and the exit codes."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from audit import ledgers, report
from providers.errors import Unavailable

pytestmark = pytest.mark.django_db


def audit(*options):
    """(exit code, what was printed)"""
    out = StringIO()
    try:
        call_command("audit", *options, stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def break_promise(count):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM notifications_notification WHERE kind <> 'refunded'")
        assert cursor.rowcount == count


def test_a_line_per_promise_and_what_was_judged(history):
    code, text = audit("--no-ledgers")

    assert code == 0
    assert [line.split() for line in text.splitlines()[:14]] == [[f"I{number}", "ok"] for number in range(1, 15)]
    assert "No violation" in text
    assert "9 orders, 8 settled orders" in text


def test_each_violation_is_shown_with_its_rows_and_the_exit_code_is_one(history, settings):
    settings.AUDIT = {**settings.AUDIT, "ROWS_MAX": 3}
    break_promise(8)

    code, text = audit("--no-ledgers")

    assert code == 1
    assert "I4   every_end_is_told" in text
    shown = [line for line in text.splitlines() if line.startswith("  order_id=")]
    assert len(shown) == 3
    assert "  … and 5 more" in text
    assert "8 rows violate 1 checks" in text


def test_whoever_watches_hears_of_every_check():
    for at_rest in (False, True):
        heard = []
        asked = report.audit_now(at_rest=at_rest, with_ledgers=False, told=heard.append)
        assert sum(heard) == len(asked.taken) == report.count_of_checks(at_rest=at_rest)


def test_json_is_what_the_drill_reads(history):
    break_promise(8)

    code, text = audit("--no-ledgers", "--json")
    told = json.loads(text)

    assert code == 1
    (violation,) = told["violations"]
    assert (violation["promise"], violation["check"], violation["count"]) == ("I4", "every_end_is_told", 8)
    assert {row["order_id"] for row in violation["rows"]} == {
        str(order_id) for name, order_id in history.items() if name != "under_way"
    }
    assert (told["judged"]["orders"], told["unjudged"]) == (9, [])
    assert told["seconds"] > 0


def test_at_rest_what_is_open_is_a_violation(history):
    code, text = audit("--no-ledgers", "--at-rest")

    assert code == 1
    assert "every_order_has_ended" in text


@pytest.mark.parametrize(("since", "orders"), [("1h", 9), ("2126-01-01", 0), ("2126-01-01T12:00Z", 0)])
def test_since_limits_what_is_judged(history, since, orders):
    _, text = audit("--no-ledgers", "--json", "--since", since)

    assert json.loads(text)["judged"]["orders"] == orders


@pytest.mark.parametrize("since", ["yesterday", "2026-13-41", "-1h"])
def test_what_is_no_time_is_refused(since):
    with pytest.raises(CommandError, match="--since"):
        call_command("audit", f"--since={since}")


def test_books_that_agree_are_no_violation(history):
    code, text = audit()

    assert code == 0, text


def test_a_provider_that_cannot_be_asked_leaves_the_rest_judged(history, monkeypatch):
    """Exit code 2: what could be judged holds."""
    monkeypatch.setattr(ledgers, "compare", _away)

    code, text = audit()

    assert code == 2
    assert text.count("Not judged: the ") == 4
    assert "I9   ok" in text


def test_a_violation_counts_more_than_what_was_not_judged(history, monkeypatch):
    monkeypatch.setattr(ledgers, "compare", _away)
    break_promise(8)

    assert audit()[0] == 1


def test_a_database_that_does_not_answer_is_exit_code_two(monkeypatch):
    monkeypatch.setattr(report, "judged", _gone)

    with pytest.raises(CommandError) as refused:
        call_command("audit")

    assert refused.value.returncode == 2
    assert "did not answer" in str(refused.value)


def _away(**_):
    raise Unavailable("connection refused")


def _gone(*_):
    raise DatabaseError("canceling statement due to statement timeout")
