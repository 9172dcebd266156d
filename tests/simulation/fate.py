"""Fate: every choice that is not the service's own, by the seed. Each seed has moods of its own (swarm testing): some
know no crash, some nothing else; what is rare everywhere is then common somewhere.

Guarantee: once `calm`, nothing goes wrong any more. Everything that went wrong before is counted (`world.happened`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .network import DONE_UNHEARD, NOTHING_DONE

if TYPE_CHECKING:
    from .strands import Strand
    from .world import World

# How often, among 100 ordinary ones, before the seed's mood.
CALLS = {
    **dict.fromkeys(NOTHING_DONE, 1.5),
    **dict.fromkeys(DONE_UNHEARD, 2.0),
    "lost": 2.0,
    "slow": 4.0,
    "unreachable": 2.0,
    "overstays": 1.0,
    "refused": 5.0,
    "late": 12.0,
    "in_progress": 3.0,
}
WRITES_ONLY = frozenset({"refused", "late", "in_progress", "5xx_after"})
# Which kinds of calls share a mood.
FAMILIES: Sequence[Sequence[str]] = (
    NOTHING_DONE, DONE_UNHEARD, ("lost", "slow", "unreachable", "overstays"), ("refused",), ("late", "in_progress"),
)  # fmt: skip
MOODS = (0.0, 0.5, 1.0, 1.0, 3.0)


class Fate:
    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        self.calm = False
        choose = self.random.choice
        self.pause = choice_of(choose, 0.0, 0.02, 0.05, 0.12)
        self.crash = choice_of(choose, 0.0, 0.0005, 0.001, 0.003)
        self.cut = choice_of(choose, 0.0, 0.0005, 0.001, 0.002)
        self.ring_trouble = choice_of(choose, 0.0, 0.05, 0.2)
        self.mail_trouble = choice_of(choose, 0.0, 0.1, 0.3)
        self.send_trouble = choice_of(choose, 0.0, 0.05, 0.2)
        self.call_weights = self._call_weights()

    def _call_weights(self) -> Mapping[str, float]:
        moods = {name: self.random.choice(MOODS) for family in FAMILIES for name in [family[0]]}
        of = {name: moods[family[0]] for family in FAMILIES for name in family}
        return {"ok": 60.0, **{name: weight * of[name] for name, weight in CALLS.items()}}

    # ── between two steps of a process ──

    def at_statement(self, strand: Strand, sql: str, *, done: bool) -> str:
        if self.calm:
            return "go"
        # A COMMIT is where most can go wrong.
        weight = 12.0 if sql == "COMMIT" else 1.0
        luck = self.random.random()
        if luck < self.crash * weight:
            where = f"{'after' if done else 'before'} {_short(sql)}"
            self.count(f"a process died {_side(done)} a COMMIT" if sql == "COMMIT" else "a process died at a statement")
            self.world.tell(f"dies {where}")
            return "crash"
        luck -= self.crash * weight
        if luck < self.cut * weight:
            self.count(f"a connection was cut {_side(done)} a COMMIT" if sql == "COMMIT" else "a connection was cut")
            self.world.tell(f"loses its connection {'after' if done else 'before'} {_short(sql)}")
            return "cut"
        luck -= self.cut * weight
        if luck < self.pause * (1.0 if strand.in_transaction else 2.0):
            if strand.in_transaction:
                self.count("a transaction was interleaved")
            return "pause"
        return "go"

    # ── calls, mails, webhooks ──

    def of_call(self, *, write: bool) -> str:
        if self.calm:
            return "ok"
        weights = {name: weight for name, weight in self.call_weights.items() if write or name not in WRITES_ONLY}
        fate = self._draw(weights)
        self.count(f"a call: {fate}")
        return fate

    def of_mail(self) -> str:
        if self.calm or self.random.random() >= self.mail_trouble:
            return "ok"
        return self._draw({"unavailable": 1.0, "lost": 1.0, "unheard": 1.0, "refused": 0.2})

    def of_send(self) -> str:
        if self.calm or self.random.random() >= self.send_trouble:
            return "ok"
        return self._draw({"unavailable": 1.0, "partly": 1.0, "unheard": 1.0, "crash": 1.0})

    def webhook_delays(self) -> list[float]:
        """When a webhook comes: before the reply, five times, late or never."""
        copies = self._draw({"1": 4.0, "0": 2.0, "2": 1.0, "5": 1.0})
        return [self.random.choice((0.0, 0.5, 5.0, 120.0, 4000.0)) * self.random.random() for _ in range(int(copies))]

    # ── rings ──

    def copies_of_ring(self) -> int:
        if self.calm or self.random.random() >= self.ring_trouble:
            return 1
        lost = self.random.random() < 0.5
        self.count("a ring was lost" if lost else "a ring was doubled")
        return 0 if lost else 2

    def delay_of_ring(self) -> float:
        if self.calm or self.random.random() >= self.ring_trouble:
            return 0.0
        self.count("a ring was delayed")
        return self.random.uniform(0.0, 90.0)

    def count(self, what: str) -> None:
        self.world.happened[what] += 1

    def _draw(self, weights: Mapping[str, float]) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]


def choice_of(choose: object, *values: float) -> float:
    """One of these, each as likely."""
    chosen: float = choose(values)  # type: ignore[operator]  # random.choice of the world
    return chosen


def _side(done: bool) -> str:  # noqa: FBT001 - said once, right above
    return "after" if done else "before"


def _short(sql: str) -> str:
    """Without a savepoint's own name: Django makes it of the thread's address, which no seed decides."""
    words = "SAVEPOINT" if "SAVEPOINT " in sql else " ".join(sql.split())
    return words[:70]
