"""Locks on messages are taken in the order of their keys, so that verbs over the same rows wait and never deadlock."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from outbox.models import OutboxMessage
from outbox.querysets import PutBack
from tests.support.threads import in_thread
from tests.support.told import claim, tell

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]


def rows():
    return OutboxMessage.objects.all()


def put_back(messages):
    return rows().put_back([PutBack(message, after=timedelta(0), gives_attempt_back=False) for message in messages])


@pytest.mark.parametrize(
    "verb",
    [
        lambda messages: rows().finish(messages),
        lambda messages: rows().hold(messages),
        lambda messages: rows().bury(messages, error="broken"),
        put_back,
    ],
    ids=["finish", "hold", "bury", "put_back"],
)
def test_a_verb_that_waits_for_its_first_row_holds_none_of_the_later_ones(verb):
    """An operator's verb locks by key too: whoever comes second waits, holding nothing the first one needs."""
    for text in "abc":
        tell(text)
    messages = sorted(claim(), key=lambda message: message.key)

    with transaction.atomic():
        rows().select_for_update().get(key=messages[0].key)
        waiting = in_thread(lambda: verb(list(reversed(messages))))
        until_somebody_waits()
        free = rows().select_for_update(skip_locked=True).values_list("key", flat=True)
        assert {message.key for message in messages[1:]} <= set(free)

    assert waiting.result(10)


def until_somebody_waits():
    with connection.cursor() as cursor:
        for _ in range(1_000):
            cursor.execute("SELECT pg_sleep(0.005), pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits")
