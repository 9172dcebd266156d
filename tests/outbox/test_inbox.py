"""The inbox: which consumer has handled which message."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from outbox import inbox, operations
from outbox.models import InboxMessage
from tests.support.threads import in_thread


@pytest.mark.django_db
class TestRecord:
    def test_only_what_was_not_handled_before_comes_back(self):
        old, new = uuid4(), uuid4()

        assert inbox.record("a", [old]) == {old}
        assert inbox.record("a", [old, new]) == {new}
        assert inbox.record("b", [old]) == {old}
        assert InboxMessage.objects.count() == 3

    def test_a_batch_is_one_statement(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            inbox.record("a", [uuid4() for _ in range(50)])
        with django_assert_num_queries(0):
            assert inbox.record("a", []) == set()

    def test_i5_postgres_refuses_a_second_row_per_consumer_and_message(self):
        """I5: one effect per consumer and message."""
        message_id = uuid4()
        inbox.record("a", [message_id])

        with pytest.raises(IntegrityError, match="outbox_inboxmessage_pkey"), connection.cursor() as cursor:
            cursor.execute("INSERT INTO outbox_inboxmessage (consumer, message_id) VALUES ('a', %s)", [message_id])

    def test_forgetting_takes_back_one_consumers_rows_only(self):
        message_id = uuid4()
        inbox.record("a", [message_id])
        inbox.record("b", [message_id])

        inbox.forget("a", [message_id])

        assert list(InboxMessage.objects.values_list("consumer", flat=True)) == ["b"]


@pytest.mark.django_db(transaction=True)
def test_i5_a_twin_waits_and_then_finds_it_handled():
    """I5: of two deliveries at the same moment one has the effect, whichever commits."""
    message_id = uuid4()

    def second():
        with transaction.atomic():
            return inbox.record("a", [message_id])

    with transaction.atomic():
        assert inbox.record("a", [message_id]) == {message_id}
        twin = in_thread(second)
        assert not twin.done()

    assert twin.result(10) == set()


@pytest.mark.django_db
def test_i14_the_purge_takes_what_is_older_than_its_retention_and_nothing_else():
    """I14: nothing younger than its retention is removed."""
    for _ in range(3):
        inbox.record("old", [uuid4()])
    inbox.record("young", [uuid4()])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_inboxmessage SET received_at = now() - interval '15 days' WHERE consumer = 'old'")

    assert operations.purge_inbox(dry_run=True) == 3
    assert InboxMessage.objects.count() == 4
    assert operations.purge_inbox(batch_size=2) == 3
    assert operations.purge_inbox(older_than=timedelta(days=1)) == 0
    assert list(InboxMessage.objects.values_list("consumer", flat=True)) == ["young"]
