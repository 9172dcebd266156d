"""Guards of remote steps: intent, key, probe, horizon, and what an unknown outcome forbids (I3, I6, I13)."""

from tests.sabotage.guard import CODE, POSTGRES, Guard
from tests.sabotage.removal import Edit, index

CRASHES = "tests/failures/test_crashes_on_the_way.py"
RUNNERS = "tests/failures/test_two_runners.py"
DECISIONS = "tests/sagas/test_decisions.py"
BAD_ROWS = "tests/sabotage/test_bad_rows.py"

GUARDS = [
    Guard(
        name="deterministic_provider_key",
        promises="I3",
        guards="every attempt asks under the same key, derived from saga and step; an order has one live charge",
        layers={
            CODE: [
                Edit("sagas.definition.StepRun.key", "{again}", "{again}:{self.attempt}"),
            ],
            POSTGRES: [index("payment_one_live_per_order")],
        },
        caught_by=[
            f"{CRASHES}::TestUnknown::test_what_is_absent_is_asked_for_again_under_the_same_key",
            "tests/sagas/test_fulfilment.py::TestForward::test_i3_the_providers_key_is_saga_and_step",
            f"{DECISIONS}::TestBegin::test_the_providers_key_is_the_same_in_every_attempt_and_another_for_the_way_back",
            f"{BAD_ROWS}::test_an_order_is_never_charged_twice",
        ],
        alone={
            CODE: [f"{BAD_ROWS}::test_an_order_is_never_charged_twice"],
            POSTGRES: [
                f"{BAD_ROWS}::test_an_order_is_never_charged_twice",
                f"{CRASHES}::TestForward::test_i3_a_crash_after_the_call_charges_once",
            ],
        },
    ),
    Guard(
        name="intent_before_call",
        promises="I3, I13",
        guards="what will be asked for is on record before it is asked",
        layers={
            CODE: [
                Edit(
                    "outbox.remote._RemoteRun._note",
                    "consumer.settle(self.destination.name, [m for m in held if m.key not in calls])",
                    "transaction.set_rollback(True)",
                )
            ]
        },
        caught_by=[
            f"{CRASHES}::TestForward::test_a_crash_after_the_intent_and_before_the_call_asks_first",
            f"{CRASHES}::TestForward::test_i3_a_crash_after_the_call_charges_once",
        ],
        shows_as=["DoesNotExist"],
    ),
    Guard(
        name="ask_before_call",
        promises="I3, I13",
        guards="every call after a step's first begins with the probe",
        layers={CODE: [Edit("sagas.runner.Attempt.__call__", "found = self._ask(intent)", "found = None")]},
        caught_by=[
            f"{CRASHES}::TestForward::test_i3_a_crash_after_the_call_charges_once",
            f"{CRASHES}::TestUnknown::test_a_refund_that_timed_out_is_asked_about_before_it_is_asked_for_again",
        ],
        beside="the key, which is the same: a provider that keeps its promise charges once",
        alone={CODE: [f"{BAD_ROWS}::test_an_order_is_never_charged_twice"]},
    ),
    Guard(
        name="ask_before_compensate",
        promises="I13",
        guards="a saga that wants to turn asks first about a call that may have left",
        layers={
            CODE: [
                Edit(
                    "sagas.runner._turned_back",
                    "if not case.wants_to_turn or case.may_have_happened:",
                    "if not case.wants_to_turn:",
                )
            ]
        },
        caught_by=[
            f"{CRASHES}::TestUnknown::test_i13_a_cancel_waits_until_the_outcome_is_known",
            f"{CRASHES}::TestUnknown::test_i13_absent_proves_nothing_before_the_horizon",
            f"{BAD_ROWS}::test_an_order_never_ends_while_its_charge_is_unknown",
        ],
    ),
    Guard(
        name="unknown_is_not_failure",
        promises="I13",
        guards="while an outcome is unknown it is asked about, and nothing is compensated",
        layers={
            CODE: [
                Edit(
                    "sagas.decisions._decide_forward",
                    "case.later = max(_backoff(case.step.retry, row.attempts), PROBE_AGAIN_MIN)",
                    "_turn_or_attend(case, case.step.gives_up_as)",
                )
            ]
        },
        caught_by=[
            f"{DECISIONS}::TestForwardUnknown::test_i13_whatever_happens_it_is_asked_about_again",
            f"{CRASHES}::TestUnknown::test_i13_while_a_charge_is_unknown_nothing_is_undone_and_no_other_key_is_used",
            f"{BAD_ROWS}::test_an_order_never_ends_while_its_charge_is_unknown",
        ],
    ),
    Guard(
        name="spent_asks_once_more",
        promises="I13",
        guards="a step whose attempts are spent is given up only once a probe has proved that nothing happened",
        layers={CODE: [Edit("sagas.decisions._try_again", "elif case.may_have_happened:", "elif False:")]},
        caught_by=[
            f"{DECISIONS}::TestForwardRetry::test_i13_spent_or_cancelled_after_a_call_it_asks_once_more",
            f"{CRASHES}::TestSpent::test_an_attempt_that_was_turned_away_does_not_speak_for_the_one_before_it",
        ],
    ),
    Guard(
        name="in_flight_horizon",
        promises="I13",
        guards="absent proves nothing while the last call may still be in flight",
        layers={
            CODE: [
                Edit(
                    "sagas.runner.Attempt.__call__",
                    "return Absent() if self.past_horizon else",
                    "return Absent() if True else",
                )
            ]
        },
        caught_by=[f"{CRASHES}::TestUnknown::test_i13_absent_proves_nothing_before_the_horizon"],
    ),
    Guard(
        name="one_deadline_per_attempt",
        promises="I13",
        guards="a process that was frozen after its intent does not call any more",
        layers={CODE: [Edit("providers.calls._in_time", "if time.monotonic() >= ends_at:", "if False:")]},
        caught_by=[
            "tests/failures/test_deadlines.py"
            "::test_i13_a_process_that_was_frozen_after_its_intent_does_not_call_any_more"
        ],
    ),
    Guard(
        name="stale_answers_are_facts",
        promises="I3, I6",
        guards="what a provider answered is written whoever asked, and only the current claim decides",
        layers={
            CODE: [
                Edit(
                    "sagas.runner.RemoteStepWork.record",
                    "self.action.record([(answer.intent, answer.result) for answer in answers])",
                    "self.action.record([(answer.intent, answer.result) for answer in answers if answer.mine]) "
                    "or [Unknown('dropped')] * len(answers)",
                )
            ]
        },
        caught_by=[
            f"{RUNNERS}::TestRaces::test_f13_a_late_success_of_a_step_that_was_given_up_is_adopted_and_undone",
        ],
    ),
    Guard(
        name="attempt_of_a_step_counted_first",
        promises="I11",
        guards="an attempt is counted before it is made, so one that kills its process counts",
        layers={
            CODE: [
                Edit("sagas.decisions.begin", "row.undo_attempts += 1", "pass"),
                Edit("sagas.decisions.begin", "row.attempts += 1", "pass"),
            ]
        },
        caught_by=[
            f"{DECISIONS}::TestBegin::test_an_attempt_is_counted_before_it_is_made",
            f"{CRASHES}::TestForward::test_s20_after_a_crash_past_step_two_only_step_three_runs",
        ],
    ),
]
