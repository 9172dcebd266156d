"""The connection that everybody uses: statements are parsed once and planned each time (decision 21)."""

import pytest
from django.conf import settings
from django.db import connection

pytestmark = pytest.mark.django_db


def test_a_statement_is_prepared_once_it_was_sent_often_enough():
    ask = "SELECT %s::int AS sent_often_enough"
    with connection.cursor() as cursor:
        for number in range(settings.DATABASE_PREPARE_AFTER + 2):
            cursor.execute(ask, [number])
        cursor.execute(
            "SELECT custom_plans > 0, generic_plans FROM pg_prepared_statements WHERE statement LIKE %s",
            ["SELECT $1::int AS sent_often_enough"],
        )

        assert cursor.fetchall() == [(True, 0)]


def test_no_plan_is_kept_for_a_table_that_grows():
    """Kept plans are chosen from the sixth execution on, and would be the cheaper ones here."""
    with connection.cursor() as cursor:
        for _ in range(settings.DATABASE_PREPARE_AFTER + 20):
            cursor.execute("SELECT count(*) FROM outbox_outboxmessage WHERE destination = %s", ["nobody"])
        cursor.execute("SELECT sum(generic_plans) FROM pg_prepared_statements")

        assert cursor.fetchone() == (0,)
