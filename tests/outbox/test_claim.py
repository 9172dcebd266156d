"""The claim: lease, attempt count and fence at once."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction

from outbox import operations
from outbox.claim import claim_spent
from outbox.models import OutboxMessage
from outbox.querysets import PutBack
from tests.support.threads import at_once
from tests.support.told import claim, make_due, row, states, tell, waits_seconds

CONSUMER = "test.consumer"


def texts(messages):
    return [message.payload["text"] for message in messages]


def rows():
    return OutboxMessage.objects.all()


def mark(text, **values):
    OutboxMessage.objects.filter(payload__text=text).update(**values)


@pytest.mark.django_db
@pytest.mark.usefixtures("ledger")
class TestWhatIsClaimed:
    def test_a_claim_counts_the_attempt_raises_the_epoch_and_leases_by_the_databases_clock(self):
        tell("a")

        [message] = claim()

        assert (message.attempts, message.epoch) == (1, 1)
        claimed = row("a")
        assert (claimed.attempts, claimed.epoch, claimed.state) == (1, 1, "open")
        assert claimed.claimed_at is not None
        assert 14 < waits_seconds(claimed) <= 15

    def test_what_is_claimed_is_not_claimed_again_until_its_claim_has_run_out(self):
        tell("a")
        claim()

        assert claim() == []
        make_due()
        assert [message.epoch for message in claim()] == [2]

    def test_batches_come_in_insertion_order_and_end_at_the_limit(self):
        for text in "abc":
            tell(text)

        assert texts(claim(limit=2)) == ["a", "b"]
        assert texts(claim(limit=2)) == ["c"]

    def test_i12_only_the_first_unfinished_of_an_aggregate_is_claimed(self):
        """I12: messages of one aggregate are applied in order."""
        order = uuid4()
        tell("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        tell("other")

        messages = claim()
        assert texts(messages) == ["first", "other"]
        assert claim() == []
        rows().finish(messages)
        assert texts(claim()) == ["second"]

    def test_a_dead_head_blocks_its_own_aggregate_only(self):
        order = uuid4()
        tell("first", aggregate_id=order, sequence=1)
        tell("second", aggregate_id=order, sequence=2)
        tell("other")
        mark("first", state="dead")

        assert texts(claim()) == ["other"]

    def test_aggregates_are_blocked_per_destination(self):
        order = uuid4()
        tell("first", aggregate_id=order, sequence=1)
        mark("first", state="dead", destination="elsewhere")
        tell("second", aggregate_id=order, sequence=2)

        assert texts(claim()) == ["second"]

    def test_a_later_attempt_is_claimed_alone(self):
        """F9: what kills its process takes no neighbour along."""
        for text in "abcd":
            tell(text)
        mark("b", attempts=1)
        mark("c", attempts=3)

        assert [texts(claim()) for _ in range(4)] == [["a", "d"], ["b"], ["c"], []]

    def test_f11_types_that_this_process_does_not_know_are_left_alone(self):
        """F11: old code leaves new messages to the code that knows them."""
        tell("old")
        tell("new")
        mark("new", type="test.told.v2")

        assert texts(claim()) == ["old"]
        left = row("new")
        assert (left.state, left.attempts) == ("open", 0)
        assert texts(claim(types=["test.told.v2"])) == ["new"]

    def test_a_message_whose_attempts_are_used_up_is_claimed_only_to_be_buried(self):
        tell("spent")
        tell("fresh")
        mark("spent", attempts=10)

        assert texts(claim()) == ["fresh"]
        assert texts(claim_spent([CONSUMER])) == ["spent"]
        assert row("spent").attempts == 10


@pytest.mark.django_db
@pytest.mark.usefixtures("ledger")
class TestEpoch:
    def stale(self):
        """A claim that ran out and was taken over."""
        tell("a")
        [old] = claim()
        make_due()
        [new] = claim()
        return old, new

    def test_i6_a_stale_claim_changes_nothing(self):
        """I6: epoch of the claim compared in every verb."""
        old, new = self.stale()
        returns = [PutBack(old, after=timedelta(0), error="old", gives_attempt_back=True)]

        assert rows().finish([old]) == []
        assert rows().hold([old]) == []
        assert rows().bury([old], error="x") == []
        assert rows().put_back(returns) == 0
        assert rows().take_back(returns) == 0
        kept = row("a")
        assert (kept.state, kept.attempts, kept.epoch, kept.last_error) == ("open", 2, 2, "")
        assert rows().finish([new]) == [new]

    def test_i6_a_stale_claim_beside_the_good_one_of_the_same_message_is_not_taken_for_it(self):
        """A process that was frozen past its claim claims the message anew, and ends both claims in one batch."""
        old, new = self.stale()

        assert rows().hold([old, new]) == [new]
        assert rows().finish([old, new]) == [new]

    def test_i6_an_operators_requeue_fences_off_whoever_is_at_work(self):
        """I6: a stale runner changes nothing."""
        tell("a")
        [message] = claim()
        operations.skip([message.key], who=None, reason="by hand")
        operations.requeue([message.key], who=None, reason="by hand", sent=True)

        assert rows().finish([message]) == []
        assert states() == {"a": "open"}

    def test_a_failure_after_a_commit_whose_reply_was_lost_leaves_the_row_done(self):
        tell("a")
        [message] = claim()
        rows().finish([message])

        assert rows().put_back([PutBack(message, after=timedelta(0), gives_attempt_back=True)]) == 0
        assert states() == {"a": "done"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("ledger")
class TestSharing:
    def test_s6_two_claimers_share_the_work_and_take_no_row_twice(self):
        """S6: two relays never publish a row twice in normal work, and share the load."""
        for number in range(60):
            tell(f"m{number}")

        def drain():
            taken = []
            while batch := claim(limit=5):
                taken += texts(batch)
                rows().finish(batch)
            return taken

        one, other, third = at_once(drain, drain, drain)

        assert sorted(one + other + third) == sorted(f"m{number}" for number in range(60))
        assert rows().filter(state="done", attempts=1).count() == 60

    def test_s6_a_row_that_another_claimer_holds_is_skipped_not_waited_for(self):
        """S6: the load is shared."""
        tell("held")
        tell("free")

        with transaction.atomic():
            assert texts(claim(limit=1)) == ["held"]
            [taken] = at_once(lambda: texts(claim()))
        assert taken == ["free"]

    def test_claims_are_heap_only_updates(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'outbox_outboxmessage'")
            assert "fillfactor=50" in cursor.fetchone()[0]
            tell("a")
            cursor.execute("SELECT pg_stat_reset_single_table_counters('outbox_outboxmessage'::regclass)")
            claim()
            cursor.execute("SELECT pg_stat_force_next_flush()")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s",
                [rows().model._meta.db_table],
            )
            assert cursor.fetchone() == (1, 1)
