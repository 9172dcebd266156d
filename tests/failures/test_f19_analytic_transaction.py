"""F19: an analytic transaction open for the whole run: the backlog drains (its rate: benchmarks/snapshot.py, ≥ 0.8).

A snapshot that stays open keeps vacuum from removing any version of a row that it may still see: each claim then walks
past the dead versions of what was claimed before it.
"""

import os
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from orders.models import Order
from outbox.models import OutboxMessage
from tests.acceptance import books, crowd
from tests.support.drive import deliver_due, drive
from tests.support.shop import outcome, stock

from .rest import assert_all_is_well


@contextmanager
def analytics():
    """Somebody's report over everything, in one REPEATABLE READ transaction that they forgot to end."""
    server = urlsplit(os.environ["DATABASE_URL"])
    url = server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    with psycopg.connect(url) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield lambda table: session.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        session.rollback()


@pytest.mark.django_db(transaction=True)
def test_f19_under_an_open_snapshot_everything_ends_and_the_snapshot_sees_nothing_of_it(shop):
    """F19, I4: nothing of ours waits for it, and it waits for nothing of ours."""
    with analytics() as count:
        assert count("orders_order") == 0
        orders = [shop.order() for _ in range(8)]
        while deliver_due():
            with connection.cursor() as cursor:
                cursor.execute("VACUUM outbox_outboxmessage")
        drive()

        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}
        assert (stock(), OutboxMessage.objects.filter(state="open").count()) == ((2, 0), 0)
        assert (count("orders_order"), count("outbox_outboxmessage")) == (0, 0)


@pytest.mark.proof
def test_f19_real_orders_end_while_a_report_runs_over_the_whole_time(service):
    """F19: 96 orders with kills of both workers on the way; the backlog drains and every book agrees."""
    with analytics() as count:
        assert count("orders_order") == 0
        service.start()
        placed = crowd.place_all(service, 48)
        service.kill("worker", "remote-worker")
        placed += crowd.place_all(service, 48)
        service.start()
        assert_all_is_well(service)
        assert (count("orders_order"), count("outbox_outboxmessage")) == (0, 0)

    assert len(set(placed)) == Order.objects.count() == 96
    assert books.ends() == crowd.expected_ends(96)
