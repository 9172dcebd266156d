"""Orders per minute: each counted in its own minute, by a range of ids, however many other orders there are."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from orders import live
from orders.models import Order
from outbox.querysets import first_key_of
from tests.orders.builders import customer

pytestmark = pytest.mark.django_db


def order(placed_ago: timedelta, *, ended_ago: timedelta | None = None, status: str = "pending") -> Order:
    """An order of that moment, its id as rising as its time."""
    now = timezone.now()
    return Order.objects.create(
        id=UUID(int=first_key_of(now - placed_ago).int | uuid7().int & (1 << 62) - 1),
        customer=customer(),
        status=status,
        reason="out_of_stock" if status == "rejected" else "",
        currency="EUR",
        total_minor=999,
        payment_method="tok_ok",
        placed_at=now - placed_ago,
        ended_at=None if ended_ago is None else now - ended_ago,
    )


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def counted(pace: live.Pace) -> dict[str, int]:
    return {what: pace.total(what) for what in ("placed", "confirmed", "rejected", "cancelled")}


class TestAnIdIsATime:
    def test_the_ids_of_a_moment_stand_between_its_first_key_and_the_next_ones(self):
        before = time.time()
        ids = [uuid7() for _ in range(100)]
        after = time.time()

        first = first_key_of(datetime.fromtimestamp(before, UTC))
        beyond = first_key_of(datetime.fromtimestamp(after + 0.001, UTC))
        assert [identity for identity in ids if not first <= identity < beyond] == []
        assert ids == sorted(ids)

    def test_postgres_orders_them_as_the_clock_does(self):
        moments = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=7**power) for power in range(14)]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM unnest(%s::uuid[]) AS id ORDER BY id", [[first_key_of(one) for one in moments[::-1]]]
            )
            assert [row[0] for row in cursor.fetchall()] == [first_key_of(one) for one in moments]

    def test_a_range_of_ids_is_a_range_of_time(self):
        rows = {ago: order(minutes(ago)) for ago in (1, 10, 30, 90)}

        since = first_key_of(timezone.now() - minutes(45))
        assert set(Order.objects.filter(id__gte=since)) == {rows[1], rows[10], rows[30]}


class TestPace:
    def test_without_an_order_every_minute_is_there_and_empty(self):
        pace = live.pace()

        assert len(pace.minutes) == 60
        assert counted(pace) == {"placed": 0, "confirmed": 0, "rejected": 0, "cancelled": 0}
        assert pace.is_whole
        began = [minute.began_at for minute in pace.minutes]
        assert {later - earlier for earlier, later in pairwise(began)} == {minutes(1)}

    def test_each_order_counts_in_the_minute_it_was_placed_and_in_the_one_it_ended(self):
        placed_and_ended = order(minutes(20), ended_ago=minutes(5), status="confirmed")
        order(minutes(20))
        order(minutes(3), ended_ago=minutes(2), status="rejected")
        order(minutes(3), ended_ago=minutes(2), status="cancelled")

        pace = live.pace()

        assert counted(pace) == {"placed": 4, "confirmed": 1, "rejected": 1, "cancelled": 1}
        by_time = {minute.began_at: minute for minute in pace.minutes}
        at = lambda moment: by_time[moment.replace(second=0, microsecond=0)]  # noqa: E731
        assert at(placed_and_ended.placed_at).placed == 2
        assert at(placed_and_ended.ended_at).confirmed == 1
        assert at(placed_and_ended.ended_at).placed == 0

    def test_one_that_waited_for_hours_counts_where_it_ended_and_not_where_it_was_placed(self):
        order(minutes(600), ended_ago=minutes(4), status="confirmed")
        order(minutes(601), ended_ago=minutes(600), status="confirmed")

        assert counted(live.pace()) == {"placed": 0, "confirmed": 1, "rejected": 0, "cancelled": 0}

    def test_where_there_are_more_than_it_reads_the_chart_begins_later_and_says_so(self, monkeypatch):
        monkeypatch.setattr(live, "ORDERS_MAX", 2)
        for ago in (50, 20, 10):
            order(minutes(ago))

        pace = live.pace()

        assert not pace.is_whole
        assert counted(pace)["placed"] == 1
        assert 19 <= len(pace.minutes) <= 21

    def test_it_takes_one_statement(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            live.pace()
