"""The gate: slots, threads, and what the breaker allows."""

import threading
import time
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from outbox.exceptions import CallOverstayed
from providers import deadline, operations, selectors, telemetry
from providers.errors import InFlight, OutcomeUnknown, Refused, Unavailable
from providers.gate import Gate
from providers.models import Breaker, BreakerState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limits")]
SLOTS = 4
# After a pause, and as long as the provider keeps turning calls away.
FEW = 2


@pytest.fixture
def gate(limits):
    return Gate("payments")


@pytest.fixture
def hanging(gate):
    """A call that hangs until the test lets it go."""
    gone = threading.Event()
    yield gone
    gone.set()


def submit(gate: Gate, call):
    return gate.submit(call, ends_at=time.monotonic() + 30)


def row() -> Breaker:
    return Breaker.objects.get(provider="payments")


def make_retry_due(gate: Gate) -> None:
    Breaker.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    gate._reading = None


def test_no_more_calls_are_admitted_than_slots_are_free(gate):
    assert gate.admit(3) == 3
    assert gate.admit(3) == 1
    assert gate.admit(1) == 0
    gate.release(2)
    assert gate.admit(SLOTS) == 2


def test_a_call_returns_its_result_and_frees_its_slot(gate):
    assert gate.admit(1) == 1
    assert submit(gate, lambda: 42).result(5) == 42
    assert gate.admit(SLOTS + 1) == SLOTS


def test_a_call_that_raised_raises_for_whoever_waits_and_frees_its_slot(gate):
    assert gate.admit(1) == 1

    def refuse():
        raise Refused("card_declined")

    with pytest.raises(Refused, match="card_declined"):
        submit(gate, refuse).result(5)
    assert gate.admit(SLOTS + 1) == SLOTS


def test_a_call_sees_how_much_time_its_attempt_has_left(gate):
    assert gate.admit(1) == 1
    assert 0 < gate.submit(deadline.remaining, ends_at=time.monotonic() + 0.5).result(5) <= 0.5
    assert deadline.remaining() is None


def test_a_call_whose_time_is_over_before_its_thread_begins_is_never_made(gate):
    assert gate.admit(1) == 1
    made: list[str] = []
    with pytest.raises(OutcomeUnknown, match="no time left"):
        gate.submit(lambda: made.append("call"), ends_at=time.monotonic()).result(5)
    assert made == []
    assert gate.admit(SLOTS + 1) == SLOTS


def test_a_trial_whose_thread_could_not_start_is_left_to_the_next(gate, monkeypatch):
    gate.observe([Unavailable()] * 3)
    make_retry_due(gate)
    assert gate.admit(SLOTS) == 1
    monkeypatch.setattr(threading.Thread, "start", lambda thread: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        submit(gate, lambda: "receipt")
    monkeypatch.undo()
    gate.release(1)
    assert row().state == BreakerState.OPEN
    assert Gate("payments").admit(SLOTS) == 1


def test_only_a_call_that_stays_away_for_several_deadlines_counts_as_lost(gate, hanging, monkeypatch):
    """Threads that a slow mail server holds come back; ending the process for them would cut payments."""
    assert gate.admit(1) == 1
    future = submit(gate, lambda: hanging.wait(30))
    gate.give_up(future)
    assert gate.overstayed() == 0
    much_later = time.monotonic() + 5 * gate.limits.total_deadline_seconds
    monkeypatch.setattr("providers.gate.time.monotonic", lambda: much_later)
    assert gate.overstayed() == 1
    hanging.set()
    future.result(5)
    wait_for(lambda: gate.overstayed() == 0)


def test_a_call_given_up_keeps_its_slot_until_its_thread_ends(gate, hanging):
    assert gate.admit(1) == 1
    future = submit(gate, lambda: hanging.wait(30))
    gate.give_up(future)
    assert gate.admit(SLOTS + 1) == SLOTS - 1
    gate.release(SLOTS - 1)
    hanging.set()
    future.result(5)
    wait_for(lambda: not gate._given_up)
    assert gate.admit(SLOTS + 1) == SLOTS


def wait_for(condition) -> None:
    """A callback of a future runs just after its result is there."""
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("did not happen")


def test_a_call_that_ended_while_it_was_given_up_does_not_count(gate):
    assert gate.admit(1) == 1
    future = submit(gate, lambda: 1)
    future.result(5)
    gate.give_up(future)
    assert gate.overstayed() == 0


def test_a_hanging_call_does_not_keep_the_process_from_ending(gate, hanging):
    assert gate.admit(1) == 1
    submit(gate, lambda: hanging.wait(30))
    threads = [thread for thread in threading.enumerate() if thread.name == "call-payments"]
    assert [thread.daemon for thread in threads] == [True]


def test_failures_in_a_row_open_the_breaker_and_nothing_is_admitted(gate):
    gate.observe([Unavailable(), OutcomeUnknown()])
    assert gate.admit(1) == 1
    gate.release(1)
    gate.observe([OutcomeUnknown()])
    assert gate.admit(1) == 0
    assert gate.paused_until() == row().retry_at
    assert gate.admit(SLOTS) == 0


def test_a_refusal_is_a_success_the_provider_is_well(gate):
    gate.observe([Unavailable(), Unavailable()])
    gate.observe([Refused("card_declined")])
    gate.observe([Unavailable(), Unavailable()])
    assert row().state == BreakerState.CLOSED


def test_a_key_in_use_over_there_says_nothing_against_the_provider(gate):
    gate.observe([InFlight()] * 10)
    assert gate.admit(1) == 1
    assert not Breaker.objects.exists()


def test_our_own_error_says_nothing_against_the_provider_and_nothing_for_it(gate):
    gate.observe([TypeError("ours")] * 10)
    assert not Breaker.objects.exists()
    gate.observe([Unavailable(), Unavailable()])
    gate.observe([TypeError("ours")])
    assert (row().state, row().failures) == (BreakerState.CLOSED, 2)


def test_calls_that_were_given_up_open_the_breaker(gate):
    gate.observe([CallOverstayed(), TimeoutError(), CallOverstayed()])
    assert row().state == BreakerState.OPEN


def test_a_trial_that_met_our_own_error_is_left_to_the_next(gate):
    gate.observe([Unavailable()] * 3)
    make_retry_due(gate)
    assert gate.admit(SLOTS) == 1
    submit(gate, lambda: None).result(5)
    gate.observe([TypeError("ours")])
    assert row().state == BreakerState.OPEN
    assert Gate("payments").admit(SLOTS) == 1


def test_a_call_that_would_end_its_thread_is_an_error_like_any_other(gate):
    assert gate.admit(1) == 1

    def leave():
        raise SystemExit(3)

    error = submit(gate, leave).exception(5)
    assert isinstance(error, Exception)
    assert "SystemExit(3)" in str(error)
    assert gate.admit(SLOTS + 1) == SLOTS


def test_an_answer_that_asks_to_wait_pauses_at_once(gate):
    gate.observe([Unavailable(retry_after_seconds=30), "receipt"])
    assert (gate.admit(1), gate.paused_until()) == (0, row().retry_at)
    make_retry_due(gate)
    assert row().state == BreakerState.CLOSED
    assert gate.admit(SLOTS) == FEW


def test_a_pause_that_nobody_of_this_process_saw_ends_with_few_slots_all_the_same(gate):
    """It had nothing to do meanwhile; what gathered for it must not arrive all at once."""
    idle = Gate("payments")
    assert idle.admit(1) == 1
    idle.release(1)
    gate.observe([Unavailable(retry_after_seconds=30)])
    make_retry_due(idle)
    assert idle.admit(SLOTS) == FEW


def test_a_process_that_starts_after_trouble_begins_with_few_slots(gate):
    gate.observe([Unavailable(retry_after_seconds=30)])
    make_retry_due(gate)
    assert Gate("payments").admit(SLOTS) == FEW


def test_calls_turned_away_cut_the_slots_before_anybody_reports_them(gate):
    assert gate.admit(SLOTS) == SLOTS
    turned_away = [submit(gate, turn_away) for _ in range(SLOTS)]
    assert [type(future.exception(5)) for future in turned_away] == [Unavailable] * SLOTS
    assert gate.admit(SLOTS) == FEW
    assert not Breaker.objects.exists()


def turn_away():
    raise Unavailable("turned away with 429")


def test_neither_refusals_nor_unknown_outcomes_cut_the_slots(gate):
    for error in (Refused("card_declined"), OutcomeUnknown("timed out"), InFlight(), TypeError("ours")):
        assert gate.admit(1) == 1
        assert submit(gate, partial(_raise, error)).exception(5) is error
    assert gate.admit(SLOTS + 1) == SLOTS


def _raise(error):
    raise error


def test_a_call_under_way_beyond_slots_that_were_cut_ends_in_peace(gate, hanging):
    assert gate.admit(SLOTS) == SLOTS
    hung = [submit(gate, lambda: hanging.wait(30)) for _ in range(SLOTS - 1)]
    submit(gate, turn_away).exception(5)
    assert gate.admit(1) == 0
    hanging.set()
    assert [future.result(5) for future in hung] == [True] * (SLOTS - 1)
    assert gate.admit(SLOTS) == FEW


def test_i11_calls_that_never_come_back_do_not_take_the_few_slots_that_are_left(gate, hanging):
    """I11: after a pause this process would otherwise never call this provider again."""
    assert gate.admit(FEW) == FEW
    for future in [submit(gate, lambda: hanging.wait(30)) for _ in range(FEW)]:
        gate.give_up(future)
    gate.observe([Unavailable(retry_after_seconds=30)])
    make_retry_due(gate)
    assert gate.admit(SLOTS + 1) == SLOTS - FEW


def test_the_slots_come_back_while_all_is_well(gate):
    gate.observe([Unavailable(retry_after_seconds=30)])
    make_retry_due(gate)
    for _ in range(50):
        for future in [submit(gate, lambda: "receipt") for _ in range(gate.admit(SLOTS))]:
            future.result(5)
    # And as many may wait.
    assert gate.admit(3 * SLOTS) == 2 * SLOTS
    gauge = telemetry.CALL_SLOTS.labels("payments")
    assert gauge._value.get() == SLOTS


def test_a_provider_that_only_ever_asks_to_wait_opens_the_breaker(gate):
    gate.observe([Unavailable(retry_after_seconds=1)] * 3)
    assert row().state == BreakerState.OPEN
    make_retry_due(gate)
    assert gate.admit(SLOTS) == 1


def test_a_wait_beyond_all_reason_is_bounded(gate):
    gate.observe([Unavailable(retry_after_seconds=3_000)])
    assert row().retry_at < timezone.now() + timedelta(seconds=310)


def test_after_its_time_exactly_one_trial_over_all_processes(gate):
    other = Gate("payments")
    gate.observe([Unavailable()] * 3)
    make_retry_due(gate)
    assert gate.admit(SLOTS) == 1
    assert other.admit(SLOTS) == 0
    assert gate.admit(SLOTS) == 0


def test_a_trial_that_succeeds_lets_everybody_in(gate):
    other = Gate("payments")
    gate.observe([Unavailable()] * 3)
    make_retry_due(gate)
    assert gate.admit(SLOTS) == 1
    submit(gate, lambda: "receipt").result(5)
    gate.observe(["receipt"])
    assert gate.admit(SLOTS) == FEW
    assert other.admit(SLOTS) == FEW
    assert gate.paused_until() is None


def test_a_trial_that_fails_keeps_everybody_out_for_longer(gate):
    gate.observe([Unavailable()] * 3)
    make_retry_due(gate)
    assert gate.admit(SLOTS) == 1
    submit(gate, lambda: None).result(5)
    gate.observe([OutcomeUnknown()])
    assert (row().state, row().trips) == (BreakerState.OPEN, 2)
    assert gate.admit(1) == 0


def test_a_trial_that_found_no_call_to_make_is_left_to_the_next(gate):
    other = Gate("payments")
    gate.observe([Unavailable()] * 3)
    make_retry_due(gate)
    assert gate.admit(SLOTS) == 1
    gate.release(1)
    assert row().state == BreakerState.OPEN
    assert other.admit(SLOTS) == 1


def test_a_late_answer_of_another_thread_does_not_decide_the_trial(gate):
    gate.observe([Unavailable()] * 3)
    make_retry_due(gate)
    other = Gate("payments")  # a process with a call that began before
    assert gate.admit(SLOTS) == 1
    submit(gate, lambda: "receipt").result(5)
    other.observe(["receipt"])
    assert row().state == BreakerState.HALF_OPEN


def test_admitting_under_a_closed_breaker_costs_at_most_one_query(gate, django_assert_num_queries):
    with django_assert_num_queries(1):
        gate.admit(1)
        gate.admit(1)
    with django_assert_num_queries(0):
        gate.observe(["receipt"])


def test_a_failed_look_at_the_breaker_gives_its_slots_back(gate, monkeypatch):
    monkeypatch.setattr("providers.breaker.read", lambda provider: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gate.admit(SLOTS)
    monkeypatch.undo()
    assert gate.admit(SLOTS + 1) == SLOTS


def test_an_operator_opens_and_closes_by_hand(gate):
    operations.open_breaker("payments", seconds=60, reason="they told us: maintenance until noon")
    assert selectors.breaker_states() == {"payments": "open", "shipping": "closed", "notifications": "closed"}
    assert gate.admit(1) == 0
    operations.close_breaker("payments", reason="they are back")
    operations.close_breaker("payments", reason="they are back")
    gate._reading = None
    assert gate.admit(1) == 1
    with pytest.raises(KeyError):
        operations.open_breaker("paymnets", seconds=60, reason="a typo")


def test_the_metric_tells_the_state_of_every_provider(gate):
    gate.observe([Unavailable()] * 3)
    samples = {sample.labels["provider"]: sample.value for family in telemetry.collect() for sample in family.samples}
    assert samples == {"payments": 2, "shipping": 0, "notifications": 0}
