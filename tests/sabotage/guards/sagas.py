"""Guards of the saga itself: who may write it, where it may go, how it ends (I6, I7, I8, I11)."""

from tests.sabotage.guard import CODE, POSTGRES, Guard
from tests.sabotage.removal import Edit, constraint, trigger

SAGAS = "sagas_saga"
RUNNERS = "tests/failures/test_two_runners.py"
COMPENSATION = "tests/failures/test_compensation_fails.py"
FULFILMENT = "tests/sagas/test_fulfilment.py"
IDENTITY = "tests/sagas/test_identity.py"
DECISIONS = "tests/sagas/test_decisions.py"
CANCELS = "tests/failures/test_f16_cancel_races.py"
BAD_ROWS = "tests/sabotage/test_bad_rows.py"

GUARDS = [
    Guard(
        name="waiting_for",
        promises="I6",
        guards="a step runs only while its saga waits for its message",
        layers={CODE: [Edit("sagas.journal.load", "saga.waiting_for == message.message_id and ")]},
        caught_by=[
            f"{RUNNERS}::TestGuards::test_i6_a_message_that_its_saga_no_longer_waits_for_changes_nothing",
        ],
    ),
    Guard(
        name="guarded_write_of_a_saga",
        promises="I6",
        guards="a saga that moved on since it was read is not overwritten",
        layers={CODE: [Edit("sagas.journal.SAVE", "AND s.waiting_for IS NOT DISTINCT FROM new.expected")]},
        caught_by=[
            f"{RUNNERS}::TestGuards::test_s12_a_saga_that_moved_on_is_not_overwritten",
            f"{RUNNERS}::TestGuards::test_s12_one_stale_saga_undoes_the_whole_batchs_writes",
        ],
    ),
    Guard(
        name="a_running_saga_waits",
        promises="I6, I11",
        guards="a running saga waits for one message, and no other does",
        layers={POSTGRES: [constraint(SAGAS, "a_running_saga_waits_for_one_message")]},
        caught_by=[f"{RUNNERS}::TestGuards::test_i6_a_running_saga_waits_for_one_message"],
    ),
    Guard(
        name="a_sagas_id_is_derived",
        promises="I3",
        guards="a saga that a restore makes begin again asks providers under the keys that they know",
        layers={CODE: [Edit("sagas.identity.saga_id", "subject_id.version != 7", "True")]},
        caught_by=[
            f"{IDENTITY}::test_one_subject_has_one_saga_of_a_name_whenever_it_is_asked",
            f"{IDENTITY}::test_a_fulfilment_that_a_restore_makes_begin_again_charges_under_the_key_it_had",
        ],
    ),
    Guard(
        name="one_saga_per_subject",
        promises="I5, I6",
        guards="an order has one saga, however often its event comes",
        layers={
            CODE: [
                Edit("sagas.lifecycle.start", "if subject_id not in known", "if True"),
                # With its own id the second one would be refused as the first.
                Edit("sagas.identity.saga_id", "subject_id.version != 7", "True"),
            ],
            POSTGRES: [constraint(SAGAS, "one_saga_per_name_and_subject")],
        },
        caught_by=[
            f"{FULFILMENT}::TestForward::test_an_order_starts_one_saga_however_often_its_event_comes",
            f"{RUNNERS}::TestGuards::test_a_subject_has_one_saga_per_name",
            f"{BAD_ROWS}::test_an_order_never_has_two_sagas",
        ],
        alone={
            CODE: [f"{BAD_ROWS}::test_an_order_never_has_two_sagas"],
            POSTGRES: [
                f"{BAD_ROWS}::test_an_order_never_has_two_sagas",
                f"{FULFILMENT}::TestForward::test_an_order_starts_one_saga_however_often_its_event_comes",
            ],
        },
    ),
    Guard(
        name="direction",
        promises="I7",
        guards="a saga that has begun to compensate never goes forward again",
        layers={
            CODE: [
                Edit(
                    "sagas.operations._continue",
                    "if case.undo:",
                    "case.saga.direction = Saga.Direction.FORWARD\n    if False:",
                )
            ],
            POSTGRES: [trigger(SAGAS, "a_saga_never_turns_forward_again")],
        },
        caught_by=[
            f"{BAD_ROWS}::test_a_saga_on_its_way_back_never_goes_forward",
            f"{COMPENSATION}::TestPerson::test_i7_postgres_refuses_a_way_forward",
        ],
        alone={
            CODE: [f"{BAD_ROWS}::test_a_saga_on_its_way_back_never_goes_forward"],
            POSTGRES: [
                f"{BAD_ROWS}::test_a_saga_on_its_way_back_never_goes_forward",
                f"{COMPENSATION}::TestPerson::test_i7_no_verb_sends_it_forward_again",
            ],
        },
    ),
    Guard(
        name="ends_in_its_direction",
        promises="I7, I8",
        guards="a saga that went back is not called completed, and one that went forward not compensated",
        layers={POSTGRES: [constraint(SAGAS, "a_saga_ends_in_the_direction_it_goes")]},
        caught_by=[f"{COMPENSATION}::TestNeedsAttention::test_i8_postgres_refuses_to_call_a_forward_saga_compensated"],
    ),
    Guard(
        name="ended_says_so",
        promises="I8",
        guards="a saga has an end if and only if its status says that it ended",
        layers={POSTGRES: [constraint(SAGAS, "a_saga_has_ended_if_and_only_if_its_status_says_so")]},
        caught_by=[f"{BAD_ROWS}::test_postgres_refuses_an_end_that_the_status_does_not_tell"],
    ),
    Guard(
        name="reverse_order",
        promises="I8",
        guards="compensations run in the reverse order of the steps",
        layers={
            CODE: [Edit("sagas.decisions.next_undo", "in reversed(case.definition.steps)", "in case.definition.steps")]
        },
        caught_by=[
            "tests/sabotage/test_bad_rows.py::test_what_was_done_is_undone_in_reverse_order",
            f"{FULFILMENT}::TestBackward::test_i8_a_refused_parcel_is_undone_in_reverse_order",
            f"{FULFILMENT}::TestBackward::test_the_whole_way_there_and_back",
            f"{DECISIONS}::TestBackward::test_i8_done_goes_on_with_the_step_before",
        ],
    ),
    Guard(
        name="only_what_was_done_is_undone",
        promises="I8",
        guards="a step that did nothing is passed over on the way back",
        layers={
            CODE: [Edit("sagas.decisions.next_undo", "row.status == SagaStep.Status.DONE and ")],
            POSTGRES: [constraint("sagas_sagastep", "only_a_done_step_is_compensated")],
        },
        caught_by=[
            f"{DECISIONS}::TestBackward::test_i8_steps_that_did_nothing_or_have_nothing_to_undo_are_passed_over",
            f"{FULFILMENT}::TestBackward::test_a_declined_card_releases_the_stock",
            f"{COMPENSATION}::TestNeedsAttention::test_i8_postgres_refuses_a_compensation_of_what_was_not_done",
        ],
        alone={POSTGRES: [f"{FULFILMENT}::TestBackward::test_a_declined_card_releases_the_stock"]},
    ),
    Guard(
        name="failed_is_not_compensated",
        promises="I8",
        guards="with a compensation that failed a saga needs attention and is never called compensated",
        layers={CODE: [Edit("sagas.decisions._end_backward", "if failed:", "if False:")]},
        caught_by=[
            f"{DECISIONS}::TestBackward::test_i8_with_a_failed_one_it_is_not_called_compensated",
            f"{COMPENSATION}::TestNeedsAttention"
            "::test_s11_it_is_retried_and_then_needs_attention_and_is_never_called_compensated",
            f"{BAD_ROWS}::test_a_failed_refund_never_ends_an_order",
        ],
    ),
    Guard(
        name="rejected_when_all_is_undone",
        promises="I8, I9",
        guards="an order ends rejected or cancelled only once its saga is compensated",
        layers={
            CODE: [
                Edit(
                    "sagas.journal._tell_owners",
                    "if case.ended and case.saga.status == Saga.Status.COMPENSATED",
                    "if case.saga.goes_backward",
                )
            ]
        },
        caught_by=[
            f"{FULFILMENT}::TestBackward::test_i8_a_refused_parcel_is_undone_in_reverse_order",
            "tests/failures/test_crashes_on_the_way.py::TestBackward::test_s9_a_crash_between_two_compensations",
            f"{BAD_ROWS}::test_a_failed_refund_never_ends_an_order",
        ],
    ),
    Guard(
        name="cancel_before_the_pivot",
        promises="I9",
        guards="a pivot that finds the wish to cancel turns back (F16)",
        layers={CODE: [Edit("sagas.decisions.Case.wants_to_turn", "return not self.undo and", "return False and")]},
        caught_by=[
            f"{CANCELS}::TestAgainstThePivot::test_a_cancel_that_holds_the_saga_first_wins",
            f"{FULFILMENT}::TestBackward::test_the_whole_way_there_and_back",
        ],
    ),
    Guard(
        name="no_cancel_past_the_pivot",
        promises="I9",
        guards="a wish that comes after the pivot is too late (F16)",
        layers={
            "saga": [
                Edit(
                    "sagas.lifecycle.request_cancel", "if case.saga.status in ENDED or case.pivot_passed:", "if False:"
                )
            ],
            "order": [
                Edit(
                    "orders.cancellation._status_after",
                    "if status not in (Order.Status.PENDING, Order.Status.CANCELLED):",
                    "if False:",
                )
            ],
        },
        caught_by=[f"{CANCELS}::TestAtEveryPoint::test_after_the_pivot_it_is_too_late"],
        alone={"saga": [f"{CANCELS}::TestAtEveryPoint::test_after_the_pivot_it_is_too_late"]},
    ),
    Guard(
        name="late_success",
        promises="I9, I13",
        guards="what happened after a saga gave it up is adopted and undone (F13)",
        layers={CODE: [Edit("sagas.late._news", "case is None or not case.saga.goes_backward or", "True or")]},
        caught_by=[
            f"{RUNNERS}::TestRaces::test_f13_a_late_success_of_a_step_that_was_given_up_is_adopted_and_undone",
            f"{RUNNERS}::test_f13_a_late_charge_that_a_webhook_finds_is_undone",
            f"{BAD_ROWS}::test_a_late_charge_is_never_kept",
        ],
    ),
    Guard(
        name="sweep_for_lost_messages",
        promises="I4, I11",
        guards="a live saga without an open message is found and resumed",
        layers={CODE: [Edit("sagas.recovery._mend", "case is None or", "True or")]},
        caught_by=[f"{RUNNERS}::TestSweep::test_s13_a_saga_without_an_open_message_is_found_and_resumed"],
    ),
    Guard(
        name="a_dead_step_needs_a_person",
        promises="I11",
        guards="a saga whose message died waits for a person, and not for ever",
        layers={
            CODE: [
                Edit(
                    "outbox.failure.bury",
                    "if destination is not None and destination.on_dead is not None:",
                    "if False:",
                )
            ]
        },
        caught_by=[
            "tests/failures/test_waits_end.py::TestDeadStep"
            "::test_i11_a_step_whose_message_is_spent_needs_attention_in_the_same_transaction",
            f"{BAD_ROWS}::test_a_step_that_always_raises_never_leaves_its_saga_alone",
        ],
    ),
    Guard(
        name="saga_purge_horizon",
        promises="I14",
        guards="only sagas that ended longer ago than their retention are purged",
        layers={
            CODE: [
                Edit(
                    "sagas.lifecycle.purge",
                    "Saga.objects.filter(status__in=ENDED, ended_at__lt=Now() - age)",
                    "Saga.objects.filter(status__in=ENDED)",
                )
            ]
        },
        caught_by=[
            "tests/sagas/test_lifecycle.py::TestPurge::test_i14_only_sagas_that_have_ended_long_ago_go",
            "tests/sagas/test_command.py::TestPurge::test_removes_ended_sagas_past_their_age_and_no_live_one",
        ],
    ),
]
