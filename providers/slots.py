"""How many calls to one provider may be under way in this process: fewer when it turns us away, more while it is well.

Additive increase, multiplicative decrease, as TCP does it. Guarantees that `size` stays between the two bounds, that
one bad moment cuts once (what began before the last cut says nothing new), that it grows by one per round of calls at
most, and that `ahead`, how many may wait in line besides, is 0 unless the last round was quick. Does not guarantee that
processes share fairly: each adapts by itself. Has no clock and no lock: the gate has.
"""

from dataclasses import dataclass
from enum import Enum, auto
from math import inf

# What is left of the slots when the provider turns a call away.
CUT = 0.5
# A round is as many calls as there are slots, and enough of them for a median that means something.
ROUND_MIN_CALLS = 8
# A round that took this much longer than the provider's usual low is a sign of a queue over there. A difference below
# the margin is noise.
SLOW_FACTOR = 2.0
SLOW_MARGIN_SECONDS = 0.05
# The usual low is the lowest round of the last one to two of these: what is slow for longer has become usual.
USUAL_SECONDS = 60.0
# Calls of a round that took no longer (its median) are quick: between one's end and the next one's beginning lies time
# that counts, so as many as there are slots may wait, ready. While they are slow nobody waits: who does is held up.
QUICK_SECONDS = 0.5


class End(Enum):
    """How a call ended, as far as slots are concerned."""

    WELL = auto()
    TURNED_AWAY = auto()
    # It failed in another way, ours or theirs: nothing to cut for, and no round to grow after.
    TROUBLED = auto()


@dataclass
class _UsualLow:
    """The lowest round of late."""

    recent: float = inf
    before: float = inf
    turns_at: float = -inf

    def note(self, seconds: float, *, now: float) -> float:
        """Takes in a round; returns the usual low."""
        if now >= self.turns_at:
            self.before = self.recent if now < self.turns_at + USUAL_SECONDS else inf
            self.recent, self.turns_at = inf, now + USUAL_SECONDS
        self.recent = min(self.recent, seconds)
        return min(self.recent, self.before)


class Slots:
    def __init__(self, *, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.size = most
        self._are_quick = False
        self._cut_at = -inf
        self._round: list[float] = []
        self._were_needed = False
        self._usual = _UsualLow()

    @property
    def ahead(self) -> int:
        return self.size if self._are_quick else 0

    def let_nobody_wait(self) -> None:
        """Until the next round has shown that calls are quick."""
        self._are_quick = False

    def begin_with_few(self, *, now: float) -> None:
        """After a pause: whoever waited for its end must not arrive all at once."""
        self._shrink(self.least, now=now)

    def call_ended(self, end: End, *, began_at: float, now: float, under_way: int) -> None:
        """Learns from a call that ends now (monotonic seconds), with so many under way, itself included."""
        if began_at < self._cut_at:
            return
        if end is End.TURNED_AWAY:
            self._shrink(max(self.least, int(self.size * CUT)), now=now)
        elif end is End.TROUBLED:
            self.let_nobody_wait()
            self._begin_round()
        else:
            self._round.append(now - began_at)
            self._were_needed |= under_way >= self.size
            if len(self._round) >= max(self.size, ROUND_MIN_CALLS):
                self._end_round(now)

    def _end_round(self, now: float) -> None:
        median = sorted(self._round)[(len(self._round) - 1) // 2]
        usual = self._usual.note(median, now=now)
        if self._were_needed and median <= usual * SLOW_FACTOR + SLOW_MARGIN_SECONDS:
            self.size = min(self.size + 1, self.most)
        self._are_quick = median <= QUICK_SECONDS
        self._begin_round()

    def _shrink(self, size: int, *, now: float) -> None:
        self.size = min(self.size, size)
        self._cut_at = now
        self.let_nobody_wait()
        self._begin_round()

    def _begin_round(self) -> None:
        self._round.clear()
        self._were_needed = False
