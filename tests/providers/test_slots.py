"""The slots: how many calls a provider gets from one process, as it says how it fares. A clock of the test's own."""

from dataclasses import dataclass, field

import pytest

from providers.slots import ROUND_MIN_CALLS, USUAL_SECONDS, End, Slots

LEAST, MOST = 2, 16


@dataclass
class Provider:
    """Calls in rounds: all slots at once, each call as long as it is said to take."""

    slots: Slots = field(default_factory=lambda: Slots(least=LEAST, most=MOST))
    now: float = 1_000.0

    def round(self, end: End = End.WELL, *, seconds: float = 0.1, under_way: int | None = None) -> int:
        """As many calls as make a round; how many slots there are after it."""
        began_at, size = self.now, self.slots.size
        self.now += seconds
        for _ in range(max(size, ROUND_MIN_CALLS)):
            self.end(end, began_at=began_at, under_way=size if under_way is None else under_way)
        return self.slots.size

    def end(self, end: End, *, began_at: float | None = None, under_way: int = MOST) -> int:
        """One call that takes a moment, or began then."""
        self.now += 0.001
        began = self.now - 0.001 if began_at is None else began_at
        self.slots.call_ended(end, began_at=began, now=self.now, under_way=under_way)
        return self.slots.size

    def pause(self) -> None:
        self.now += 30.0
        self.slots.begin_with_few(now=self.now)


@pytest.fixture
def provider() -> Provider:
    return Provider()


def test_a_provider_that_never_said_otherwise_gets_all_slots(provider):
    assert provider.slots.size == MOST
    assert [provider.round() for _ in range(5)] == [MOST] * 5


def test_a_call_turned_away_halves_the_slots(provider):
    assert provider.end(End.TURNED_AWAY) == MOST // 2


def test_one_bad_moment_cuts_once(provider):
    """All sixteen calls of that moment are turned away; they began before the first of them told."""
    assert provider.round(End.TURNED_AWAY) == MOST // 2


def test_a_provider_that_keeps_turning_away_gets_the_least_and_not_less(provider):
    assert [provider.round(End.TURNED_AWAY) for _ in range(6)] == [8, 4, 2, 2, 2, 2]


def test_quiet_rounds_bring_the_slots_back_one_by_one(provider):
    provider.pause()
    assert [provider.round() for _ in range(16)] == [*range(LEAST + 1, MOST + 1), MOST, MOST]


def test_a_round_is_never_less_than_a_few_calls(provider):
    """Two calls that went well prove little."""
    provider.pause()
    for _ in range(ROUND_MIN_CALLS - 1):
        assert provider.end(End.WELL) == LEAST
    assert provider.end(End.WELL) == LEAST + 1


def test_a_round_with_trouble_in_it_lets_nothing_grow_and_cuts_nothing(provider):
    provider.pause()
    for _ in range(10):
        for _ in range(ROUND_MIN_CALLS - 1):
            provider.end(End.WELL)
        provider.end(End.TROUBLED)
    assert provider.slots.size == LEAST


def test_slots_that_nobody_needs_do_not_grow(provider):
    """With fewer calls than slots, nothing was learnt about what the provider can take."""
    provider.pause()
    assert [provider.round(under_way=1) for _ in range(5)] == [LEAST] * 5
    assert provider.round() == LEAST + 1


def test_answers_well_above_the_usual_low_stop_the_growth(provider):
    provider.pause()
    grown = [provider.round() for _ in range(4)][-1]
    assert [provider.round(seconds=0.5) for _ in range(5)] == [grown] * 5
    assert provider.round() == grown + 1


def test_one_slow_call_in_a_round_is_no_sign(provider):
    provider.pause()
    provider.round()
    began_at = provider.now
    provider.now += 0.1
    for _ in range(ROUND_MIN_CALLS - 1):
        provider.end(End.WELL, began_at=began_at)
    provider.now += 5.0
    assert provider.end(End.WELL, began_at=began_at) == LEAST + 2


def test_what_is_slow_for_long_becomes_usual(provider):
    """Its low of another day would keep a provider that has changed on the least for ever."""
    provider.pause()
    provider.round()
    provider.now += 3 * USUAL_SECONDS
    assert [provider.round(seconds=0.5) for _ in range(3)] == [4, 5, 6]


def test_a_low_is_remembered_for_as_long_as_it_is_usual(provider):
    provider.pause()
    provider.round()
    provider.now += USUAL_SECONDS
    assert [provider.round(seconds=0.5) for _ in range(3)] == [3, 3, 3]


def test_differences_below_the_margin_are_noise(provider):
    provider.pause()
    provider.round(seconds=0.002)
    assert provider.round(seconds=0.04) == LEAST + 2


def test_after_a_pause_it_begins_with_few(provider):
    provider.pause()
    assert provider.slots.size == LEAST


def test_what_began_before_the_pause_says_nothing_after_it(provider):
    began_at = provider.now
    provider.pause()
    provider.now += 5.0
    for _ in range(3 * ROUND_MIN_CALLS):
        assert provider.end(End.WELL, began_at=began_at) == LEAST
    assert provider.end(End.TURNED_AWAY, began_at=began_at) == LEAST


def test_a_pause_never_adds_slots():
    slots = Slots(least=4, most=4)
    slots.begin_with_few(now=1.0)
    assert slots.size == 4


def test_calls_may_wait_only_while_the_last_round_was_quick(provider):
    assert provider.slots.ahead == 0
    provider.round(seconds=0.1)
    assert provider.slots.ahead == MOST
    provider.round(seconds=2.0)
    assert provider.slots.ahead == 0
    provider.round(seconds=0.1)
    provider.end(End.TROUBLED)
    assert provider.slots.ahead == 0
    provider.round(seconds=0.1)
    provider.end(End.TURNED_AWAY)
    assert provider.slots.ahead == 0
