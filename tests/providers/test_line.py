"""The line: calls that wait, ready, for the slot of the one that ends next."""

import threading
import time

import pytest

from providers import gate as gates
from providers import operations
from providers.calls import NotBegun
from providers.errors import OutcomeUnknown, Unavailable
from providers.gate import Gate
from providers.models import Breaker
from providers.slots import ROUND_MIN_CALLS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("limits")]
SLOTS = 4


class Provider:
    """Calls that last until the test answers them; remembers which began."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.began: list[str] = []
        self._answers: dict[str, threading.Event] = {}
        self._errors: dict[str, Exception] = {}

    def call(self, name):
        self._answers[name] = threading.Event()

        def hang():
            self.began.append(name)
            self._answers[name].wait(30)
            if name in self._errors:
                raise self._errors[name]
            return name

        return self.gate.submit(hang, ends_at=time.monotonic() + 30)

    def answer(self, name, error=None):
        if error is not None:
            self._errors[name] = error
        self._answers[name].set()

    def answer_all(self):
        for name in self._answers:
            self.answer(name)

    def await_begun(self, count):
        deadline = time.monotonic() + 10
        while len(self.began) < count:
            assert time.monotonic() < deadline, self.began
            time.sleep(0.005)


@pytest.fixture
def gate(limits):
    """One whose provider has shown that its calls are quick."""
    gate = Gate("payments")
    quick_round(gate)
    return gate


def quick_round(gate):
    for _ in range(ROUND_MIN_CALLS):
        assert gate.admit(1) == 1
        gate.submit(lambda: "quick", ends_at=time.monotonic() + 30).result(10)


@pytest.fixture
def provider(gate):
    provider = Provider(gate)
    yield provider
    provider.answer_all()


def fill(gate, provider, *, waiting):
    """Every slot called, and so many in line behind them."""
    assert gate.admit(SLOTS + waiting) == SLOTS + waiting
    futures = {name: provider.call(name) for name in [f"call-{number}" for number in range(SLOTS)]}
    provider.await_begun(SLOTS)
    return futures | {name: provider.call(name) for name in [f"waits-{number}" for number in range(waiting)]}


def test_nobody_waits_before_the_provider_has_shown_that_its_calls_are_quick(limits):
    assert Gate("payments").admit(3 * SLOTS) == SLOTS


def test_as_many_as_there_are_slots_may_wait(gate):
    assert gate.admit(3 * SLOTS) == 2 * SLOTS
    assert gate.admit(1) == 0


def test_who_waited_longest_begins_when_a_call_ends_and_never_more_run_than_slots(gate, provider):
    futures = fill(gate, provider, waiting=2)
    assert len(provider.began) == SLOTS

    provider.answer("call-2")

    assert futures["call-2"].result(10) == "call-2"
    provider.await_begun(SLOTS + 1)
    assert provider.began[SLOTS:] == ["waits-0"]
    provider.answer("call-0")
    provider.await_begun(SLOTS + 2)
    assert provider.began[SLOTS:] == ["waits-0", "waits-1"]
    provider.answer_all()
    assert [future.result(10) for future in futures.values()] == list(futures)
    assert gate.admit(3 * SLOTS) == 2 * SLOTS


def test_a_call_turned_away_sends_the_line_home(gate, provider):
    futures = fill(gate, provider, waiting=2)

    provider.answer("call-0", Unavailable("turned away with 429"))

    assert [type(futures[name].exception(10)) for name in ("waits-0", "waits-1")] == [NotBegun] * 2
    assert sorted(provider.began) == [f"call-{number}" for number in range(SLOTS)]
    provider.answer_all()
    for number in range(1, SLOTS):
        assert futures[f"call-{number}"].result(10)
    # Half of the slots, and nobody waits until a round was quick again.
    assert gate.admit(3 * SLOTS) == SLOTS // 2


def test_who_waited_in_vain_is_taken_back_and_for_a_while_nobody_waits(gate, provider, monkeypatch):
    futures = fill(gate, provider, waiting=2)
    assert gate.admit(0) == 0
    assert not futures["waits-0"].done()

    monkeypatch.setattr(gates, "WAIT_MAX_SECONDS", 0.0)
    assert gate.admit(1) == 0

    assert [type(futures[name].exception(10)) for name in ("waits-0", "waits-1")] == [NotBegun] * 2
    provider.answer_all()
    assert [futures[f"call-{number}"].result(10) for number in range(SLOTS)] == provider.began
    assert gate.admit(3 * SLOTS) == SLOTS


def test_a_call_in_line_that_is_given_up_is_never_begun_and_holds_no_place(gate, provider):
    futures = fill(gate, provider, waiting=1)

    gate.give_up(futures["waits-0"])

    assert gate.overstayed() == 0
    assert isinstance(futures["waits-0"].exception(0), NotBegun)
    provider.answer_all()
    for number in range(SLOTS):
        assert futures[f"call-{number}"].result(10)
    assert "waits-0" not in provider.began
    assert gate.admit(3 * SLOTS) == 2 * SLOTS


def test_an_operator_who_opens_the_breaker_sends_the_line_home(gate, provider):
    futures = fill(gate, provider, waiting=1)
    operations.open_breaker("payments", seconds=60, reason="they announced maintenance")
    gate._reading = None

    assert gate.paused_until() is not None

    assert isinstance(futures["waits-0"].exception(10), NotBegun)


def test_what_was_never_made_says_nothing_about_the_provider(gate):
    gate.observe([NotBegun()] * 10)

    assert not Breaker.objects.filter(failures__gt=0).exists()
    assert (gate.was_made(NotBegun()), gate.was_made(Unavailable()), gate.was_made("receipt")) == (False, True, True)


def test_a_call_whose_time_ran_out_in_line_is_not_made(gate, provider):
    fill(gate, provider, waiting=0)
    assert gate.admit(1) == 1
    began = []
    late = gate.submit(lambda: began.append(1), ends_at=time.monotonic())

    provider.answer("call-0")

    assert isinstance(late.exception(10), OutcomeUnknown)
    assert began == []


def test_trouble_empties_the_next_line_until_a_round_was_quick_again(gate):
    def fail():
        raise OutcomeUnknown("timed out")

    assert gate.admit(1) == 1
    gate.submit(fail, ends_at=time.monotonic() + 30).exception(10)
    assert gate.admit(3 * SLOTS) == SLOTS
    gate.release(SLOTS)

    quick_round(gate)

    assert gate.admit(3 * SLOTS) == 2 * SLOTS


def test_an_end_that_cannot_be_counted_costs_neither_its_answer_nor_its_place(gate, monkeypatch):
    def fail():
        raise OSError("too many open files")

    monkeypatch.setattr(gate, "_tell_slots", fail)
    for _ in range(SLOTS + 1):
        assert gate.admit(1) == 1
        assert gate.submit(lambda: "receipt", ends_at=time.monotonic() + 30).result(10) == "receipt"
