"""The wake-up: told at once, never inside the writing transaction."""

import pytest
from django.db import connection, transaction

from outbox import consumer, wakeup
from tests.support.told import CONSUMER, consuming, states, tell


@pytest.fixture
def woken(monkeypatch):
    calls = []
    monkeypatch.setattr(wakeup._thread, "wake", lambda: calls.append(connection.in_atomic_block))
    return calls


@pytest.mark.django_db(transaction=True)
class TestAfterCommit:
    def test_it_comes_after_the_commit_and_outside_the_transaction(self, ledger, woken):
        with transaction.atomic():
            tell("a")
            tell("b")
            assert woken == []

        assert woken == [False, False]

    def test_an_undone_transaction_wakes_nobody(self, ledger, woken):
        with transaction.atomic():
            tell("a")
            transaction.set_rollback(True)

        assert woken == []

    def test_what_was_committed_stands_when_nobody_can_be_woken(self, ledger, monkeypatch):
        def cannot():
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(wakeup._thread, "wake", cannot)

        tell("a")

        assert states() == {"a": "open"}

    def test_the_writing_transaction_itself_sends_no_notify(self, ledger, woken, django_assert_num_queries):
        """Inside it, NOTIFY takes a lock that serialises every commit of the database."""
        with django_assert_num_queries(3) as captured:
            tell("a")

        assert not any("NOTIFY" in query["sql"] for query in captured.captured_queries)

    def test_a_worker_rings_by_itself_what_it_published_inside(self, rings, woken):
        consuming(lambda messages: tell("next") if messages[0].payload["text"] == "first" else None)
        tell("first")
        del woken[:]

        consumer.deliver(CONSUMER)

        assert woken == []
        assert rings == [CONSUMER]

    def test_a_listener_hears_of_it(self, ledger):
        """The real thread and a real LISTEN."""
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {wakeup.CHANNEL}")
            tell("a")
            heard = list(connection.connection.notifies(timeout=10, stop_after=1))
            cursor.execute(f"UNLISTEN {wakeup.CHANNEL}")

        assert [note.channel for note in heard] == [wakeup.CHANNEL]


def test_a_long_run_may_ring_what_it_published_so_far():
    with wakeup.collecting() as published:
        published.update({"a", "b"})

        assert wakeup.take_collected() == {"a", "b"}
        assert wakeup.take_collected() == set()
    assert wakeup.take_collected() == set()
