"""Guards of messages: claim, order, fence, inbox, purge (I1, I4, I5, I6, I11, I12, I14)."""

from tests.sabotage.guard import CODE, POSTGRES, Guard
from tests.sabotage.removal import Edit, Sql, constraint, index

MESSAGES = "outbox_outboxmessage"
CLAIM = "outbox.querysets.CLAIM"
CLAIMED = "tests/outbox/test_claim.py::TestWhatIsClaimed"
CONSUMER = "tests/outbox/test_consumer.py"
PURGE = "tests/outbox/test_operations.py::TestPurge"
PUBLISHER = "tests/outbox/test_publisher.py::TestGuards"

NOT_THE_HEAD = """
      AND (m.order_free OR NOT EXISTS (
          SELECT FROM outbox_outboxmessage earlier
          WHERE earlier.destination = m.destination AND earlier.aggregate_id = m.aggregate_id
            AND earlier.id < m.id AND earlier.state IN ('open', 'dead') AND NOT earlier.order_free))"""
VERBS = ("HOLD", "FINISH", "PUT_BACK", "BURY")

GUARDS = [
    Guard(
        name="inbox_insert",
        promises="I5",
        guards="what a consumer has handled has no second effect",
        layers={CODE: [Edit("outbox.inbox.record", "return fresh", "return set(message_ids)")]},
        caught_by=[
            f"{CONSUMER}::TestOneTransaction::test_i5_a_second_delivery_has_no_second_effect",
            f"{CONSUMER}::TestDeliver::test_ignores_what_it_has_handled_before",
            "tests/outbox/test_inbox.py::TestRecord::test_only_what_was_not_handled_before_comes_back",
        ],
        beside="the effect's own natural key, a saga per subject",
        alone={
            CODE: [
                "tests/sagas/test_fulfilment.py::TestForward"
                "::test_an_order_starts_one_saga_however_often_its_event_comes"
            ]
        },
    ),
    Guard(
        name="inbox_key",
        promises="I5",
        guards="Postgres knows a second row per consumer and message",
        layers={
            POSTGRES: [
                Sql("DROP VIEW outbox_inboxentry"),
                constraint("outbox_inboxmessage", "outbox_inboxmessage_pkey"),
            ]
        },
        caught_by=[
            "tests/outbox/test_inbox.py::TestRecord::test_i5_postgres_refuses_a_second_row_per_consumer_and_message",
            "tests/outbox/test_inbox.py::test_i5_a_twin_waits_and_then_finds_it_handled",
            f"{CONSUMER}::TestOneTransaction::test_i5_a_second_delivery_has_no_second_effect",
        ],
    ),
    Guard(
        name="epoch",
        promises="I6",
        guards="a claim that was taken over finishes, puts back and buries nothing",
        layers={CODE: [Edit(f"outbox.querysets.{verb}", "AND m.epoch = claim.epoch") for verb in VERBS]},
        caught_by=[
            "tests/outbox/test_claim.py::TestEpoch::test_i6_a_stale_claim_changes_nothing",
            "tests/outbox/test_claim.py::TestEpoch::test_i6_an_operators_requeue_fences_off_whoever_is_at_work",
        ],
    ),
    Guard(
        name="finish_before_effect",
        promises="I5, I6",
        guards="only what this transaction has just finished has an effect in it",
        layers={
            CODE: [
                Edit(
                    "outbox.consumer.begin",
                    "return [message for message in mine if message.message_id in fresh]",
                    "return [message for message in messages if message.message_id in fresh or message not in mine]",
                )
            ]
        },
        caught_by=[f"{CONSUMER}::TestOneTransaction::test_i6_what_another_claim_took_over_is_left_out_of_the_batch"],
    ),
    Guard(
        name="claim_time",
        promises="I6",
        guards="what one has claimed nobody else claims meanwhile",
        layers={CODE: [Edit(CLAIM, "due_at = statement_timestamp() + %(claim_time)s", "due_at = m.due_at")]},
        caught_by=[
            f"{CLAIMED}::test_what_is_claimed_is_not_claimed_again_until_its_claim_has_run_out",
            f"{CLAIMED}::test_a_claim_counts_the_attempt_raises_the_epoch_and_leases_by_the_databases_clock",
        ],
    ),
    Guard(
        name="claim_end",
        promises="I4, I11",
        guards="a claim ends by the clock: what its holder left undone is taken over",
        layers={
            CODE: [
                Edit(
                    CLAIM,
                    "due_at = statement_timestamp() + %(claim_time)s",
                    "due_at = statement_timestamp() + interval '100 years'",
                )
            ]
        },
        caught_by=[
            "tests/sabotage/test_bad_rows.py::test_a_claim_that_nobody_finished_runs_out",
            f"{CLAIMED}::test_a_claim_counts_the_attempt_raises_the_epoch_and_leases_by_the_databases_clock",
        ],
    ),
    Guard(
        name="head_check",
        promises="I12",
        guards="of one aggregate only the first unfinished message is claimed",
        layers={CODE: [Edit(CLAIM, NOT_THE_HEAD)]},
        caught_by=[
            f"{CLAIMED}::test_i12_only_the_first_unfinished_of_an_aggregate_is_claimed",
            f"{CLAIMED}::test_a_dead_head_blocks_its_own_aggregate_only",
            f"{CONSUMER}::TestDeliver::test_keeps_the_order_of_one_aggregate_even_when_the_head_fails",
        ],
    ),
    Guard(
        name="attempt_counted_before_the_work",
        promises="I4, I11",
        guards="a message that kills its process each time ends dead, and not never",
        layers={CODE: [Edit(CLAIM, "attempts = m.attempts + 1", "attempts = m.attempts")]},
        caught_by=[
            f"{CLAIMED}::test_a_claim_counts_the_attempt_raises_the_epoch_and_leases_by_the_databases_clock",
            f"{CONSUMER}::TestDeliver::test_buries_a_message_after_ten_attempts",
        ],
    ),
    Guard(
        name="tried_ones_go_alone",
        promises="I4",
        guards="what kills its process takes no neighbour along",
        layers={
            CODE: [
                Edit(
                    CLAIM,
                    "WHERE CASE WHEN (SELECT attempts FROM candidate ORDER BY id LIMIT 1) > 0\n"
                    "          THEN id = (SELECT min(id) FROM candidate) ELSE attempts = 0 END",
                )
            ]
        },
        caught_by=[f"{CLAIMED}::test_a_later_attempt_is_claimed_alone"],
    ),
    Guard(
        name="known_types_only",
        promises="I4",
        guards="old code leaves a message that it does not know to the code that knows it (F11)",
        layers={CODE: [Edit(CLAIM, "AND (%(types)s::text[] IS NULL OR m.type = ANY(%(types)s)) ", "")]},
        caught_by=[f"{CLAIMED}::test_f11_types_that_this_process_does_not_know_are_left_alone"],
    ),
    Guard(
        name="a_failure_is_put_back",
        promises="I4",
        guards="an effect that raised leaves its message open, and due again",
        layers={CODE: [Edit("outbox.failure.put_back", "OutboxMessage.objects.all().put_back(", "list(")]},
        caught_by=[
            f"{CONSUMER}::TestFailure::test_s7_a_failed_row_keeps_its_identity_and_its_history",
            f"{CONSUMER}::TestFailure::test_an_orderly_retry_gives_the_attempt_back",
        ],
    ),
    Guard(
        name="purge_spares_the_unfinished",
        promises="I4, I14",
        guards="a purge takes done and skipped messages only",
        layers={
            CODE: [
                Edit(
                    "outbox.querysets.PURGE",
                    "state IN ('done', 'skipped') AND finished_at < %(ended_before)s",
                    "coalesce(finished_at, created_at) < %(ended_before)s",
                )
            ]
        },
        caught_by=[
            "tests/sabotage/test_bad_rows.py::test_a_purge_never_takes_what_a_saga_waits_for",
            f"{PURGE}::test_the_unfinished_survive_whatever_age_is_asked_for",
            f"{PURGE}::test_i14_s18_only_what_has_ended_long_ago_goes",
        ],
    ),
    Guard(
        name="purge_horizon",
        promises="I14",
        guards="a purge takes nothing that ended within the retention",
        layers={
            CODE: [
                Edit(
                    "outbox.querysets.PURGE",
                    "key < %(oldest_kept_key)s AND state IN ('done', 'skipped') AND finished_at < %(ended_before)s",
                    "state IN ('done', 'skipped')",
                )
            ]
        },
        caught_by=[
            f"{PURGE}::test_i14_s18_only_what_has_ended_long_ago_goes",
            f"{PURGE}::test_i14_f6_a_host_whose_clock_is_ahead_purges_nothing_young",
        ],
    ),
    Guard(
        name="inbox_purge_horizon",
        promises="I5, I14",
        guards="an inbox row is kept longer than any redelivery",
        layers={
            CODE: [Edit("outbox.operations._delete_inbox_batch", "received_at < %s LIMIT", "%s IS NOT NULL LIMIT")]
        },
        caught_by=[
            "tests/outbox/test_inbox.py::test_i14_the_purge_takes_what_is_older_than_its_retention_and_nothing_else"
        ],
    ),
    Guard(
        name="the_databases_clock",
        promises="I14",
        guards="ages are told by Postgres, not by a host whose clock may be ahead (F6)",
        layers={
            CODE: [
                Edit(
                    "outbox.operations._database_time_before",
                    "return moment",
                    "return __import__('django.utils.timezone').utils.timezone.now() - age",
                )
            ]
        },
        caught_by=[f"{PURGE}::test_i14_f6_a_host_whose_clock_is_ahead_purges_nothing_young"],
    ),
    Guard(
        name="known_states",
        promises="I4",
        guards="a message is open, done, dead or skipped, and finished if and only if it says so",
        layers={
            POSTGRES: [
                constraint(MESSAGES, "outbox_state_is_known"),
                constraint(MESSAGES, "outbox_finished_if_and_only_if_ended"),
            ]
        },
        caught_by=[f"{PUBLISHER}::test_i4_a_row_is_open_until_it_says_how_it_ended"],
    ),
    Guard(
        name="due_at",
        promises="I11",
        guards="an unfinished message has a time at which it is due",
        layers={POSTGRES: [Sql(f"ALTER TABLE {MESSAGES} ALTER due_at DROP NOT NULL")]},
        caught_by=[
            f"{PUBLISHER}::test_i11_an_unfinished_row_without_a_due_time_is_refused",
            "tests/architecture/test_promises.py::test_every_message_has_a_time_at_which_it_is_due",
        ],
    ),
    Guard(
        name="one_sequence_number",
        promises="I12",
        guards="one sequence number is used once per aggregate and destination",
        layers={POSTGRES: [constraint(MESSAGES, "one_message_per_aggregate_sequence_and_destination")]},
        caught_by=[f"{PUBLISHER}::test_i12_one_sequence_number_is_used_once_per_aggregate_and_destination"],
    ),
    Guard(
        name="one_row_per_destination",
        promises="I1, I5",
        guards="one message has one row per destination",
        layers={POSTGRES: [constraint(MESSAGES, "one_row_per_message_and_destination")]},
        caught_by=[f"{PUBLISHER}::test_one_message_has_one_row_per_destination"],
    ),
    Guard(
        name="one_open_message_per_saga",
        promises="I6",
        guards="a saga has one clock: never a second open message",
        layers={POSTGRES: [index("one_open_message_per_saga")]},
        caught_by=[
            "tests/outbox/test_operations.py::TestRequeue::test_i6_postgres_refuses_a_second_open_message_per_saga"
        ],
    ),
]
