"""Among millions of dead messages nobody counts to the end: what is shown says that there may be more."""

import re

import pytest
from django.core.management import call_command
from django.urls import reverse

from outbox import choice, dead_letters, dead_letters_text, requeue_orders
from outbox.choice import Choice
from tests.support import dead, staff, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]
MOST = 3
ALL = Choice()


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    dead.own_clock(monkeypatch)
    for module in ("choice", "dead_letters", "dead_letters_text", "requeue_order", "requeue_orders"):
        monkeypatch.setattr(f"outbox.{module}.COUNTED_MAX", MOST)
    monkeypatch.setattr("outbox.requeue_orders_admin.COUNTED_MAX", MOST)


def bury(count):
    for number in range(count):
        dead.bury(f"m{number}")


def page(client, name, *arguments):
    answer = client.get(reverse(f"admin:{name}", args=arguments))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


@pytest.mark.parametrize(("count", "shown", "is_cut"), [(2, 2, False), (3, 3, True), (5, 3, True)])
def test_a_preview_looks_at_so_many_and_no_more(count, shown, is_cut):
    bury(count)

    effects = dead_letters.preview(ALL)

    assert sum(effect.count for effect in effects) == shown
    assert dead_letters.is_cut(effects) is is_cut
    assert ("Only 3 were looked at: there may be more." in dead_letters_text.effects(effects)) is is_cut


def test_an_order_counts_so_many_and_takes_all_of_them():
    """I4: what was not counted is requeued all the same."""
    bury(5)

    order = requeue_orders.place(ALL, rate_per_second=1_000, who=None, reason="mended")
    assert (order.found, order.found_text, order.found_more) == (3, "3 or more", True)
    assert dead.work(order) == 5
    order.refresh_from_db()

    assert (order.requeued, order.status) == (5, "done")
    assert set(told.states().values()) == {"open"}
    assert requeue_orders.outcome(order) == {"open": 3}
    assert "5 of 3 or more made due again" in dead_letters_text.order(order)
    assert "3 of these, looked at, are now: 3 open" in dead_letters_text.order(order)
    assert dead_letters_text.order_told(order)["found_more"] is True


def test_what_was_counted_to_its_end_is_told_as_it_was():
    bury(2)

    order = requeue_orders.place(ALL, rate_per_second=1_000, who=None, reason="mended")
    dead.work(order)
    order.refresh_from_db()

    assert (order.found, order.found_text, order.found_more) == (2, "2", False)
    assert "2 of 2 made due again" in dead_letters_text.order(order)
    assert "of these are now: 2 open" in dead_letters_text.order(order)
    assert choice.counted(2) == "2"


def test_the_pages_say_that_there_may_be_more():
    bury(5)
    client = staff.root()

    asked = page(client, "outbox_deadletter_requeue")
    assert "3 or more messages" in asked
    assert "There may be more" in asked
    order = requeue_orders.place(ALL, rate_per_second=1_000, who=None, reason="mended")
    under_way = page(client, "outbox_requeueorder_progress", order.pk)
    assert "0 of 3 or more messages made due again" in under_way
    assert re.search(r"<progress>0 so far</progress>", under_way)
    dead.work(order)

    assert "What became of 3 of them, looked at" in page(client, "outbox_requeueorder_progress", order.pk)


def test_the_command_says_so_too(capsys):
    bury(5)

    call_command("dead_letters", "requeue", "--all", "--dry-run")

    assert "Only 3 were looked at: there may be more." in capsys.readouterr().out
