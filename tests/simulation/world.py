"""The world: one seed's processes, clock, broker, network and people, one step at a time.

    world = World(seed, stage)
    world.run()          # orders come, everything goes wrong, everything heals
    judge.verdict(world) # what must be true of any finished run

Guarantee: the same seed takes the same steps; `story` tells them, `digest()` is their hash.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from django.db import OperationalError

from inventory.models import Product, ProductPrice, StockItem
from outbox import periodic, relay, tasks
from sagas import telemetry

from . import database
from .broker import Broker, Ring, Subscriber
from .fate import Fate
from .healing import Healing
from .network import Network
from .people import People
from .processes import KINDS, Process

if TYPE_CHECKING:
    from .strands import Stage, Strand

# How much goes wrong: by statements, which is what time goes to; some seeds need many turns for them.
STATEMENTS = 700
TURNS_MAX = 2_500
TURNS_TO_HEAL = 8_000
ORDERS = (3, 6)
STOCK = {"LAMP": 9, "ROPE": 6}
# The engine's own; other tests register theirs.
TICKS = (
    "audit.reconcile", "idempotency.purge", "outbox.bury_spent", "outbox.mark_dead", "outbox.park", "outbox.purge",
    "outbox.relay", "outbox.requeue", "sagas.attend_overdue", "sagas.purge", "sagas.sweep",
)  # fmt: skip
IDLE_IN_TRANSACTION_SECONDS = 10.0
POLL_SECONDS = 0.5


class World:
    def __init__(self, seed: int, stage: Stage) -> None:
        self.seed = seed
        self.stage = stage
        self.random = random.Random(f"{seed}:world")
        self.now = 0.0
        self.happened: Counter[str] = Counter()
        self.story: list[str] = []
        self.locks_released = 0
        self.notified = False
        self._relayed_at = self._ticked_at = -1.0
        self.statements = 0
        self._labels: dict[str, str] = {}
        # A saga's id: its order's.
        self.aliases: dict[str, str] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._after: dict[Strand, Callable[[Strand], None]] = {}
        self._recovered_before = int(telemetry.RECOVERED._value.get())
        self.fate = Fate(self)
        self.broker = Broker(self)
        self.subscriber = Subscriber(self)
        self.network = Network(self)
        self.people = People(self)
        self.processes = [
            Process(self, kind, number + 1) for kind, (processes, _) in KINDS.items() for number in range(processes)
        ]

    # ── the run ──

    def run(self) -> None:
        self._open_shop()
        orders = self.random.randint(*ORDERS)
        while self.statements < STATEMENTS and self.happened["turns"] < TURNS_MAX:
            if orders and self.random.random() < 0.15:
                orders -= 1
                self._order()
            self._turn()
            self.happened["turns"] += 1
        self._heal()

    def close(self) -> None:
        """Ends every thread that is still at work."""
        for process in self.processes:
            process.doom()
            process.bury()
        self.network.ledger.close()

    def _open_shop(self) -> None:
        for sku, on_hand in STOCK.items():
            product = Product.objects.create(sku=sku, name=sku.title())
            ProductPrice.objects.create(product=product, currency="EUR", unit_price_minor=999)
            StockItem.objects.create(sku=sku, on_hand=on_hand, reserved=0)
        self.people.move_in()

    def _order(self) -> None:
        skus = self.random.sample(sorted(STOCK), self.random.choice((1, 1, 2)))
        wish = self.people.wants_to_order([(sku, self.random.randint(1, 3)) for sku in skus])
        self.tell(f"{wish.name} is wanted: {wish.body['items']}")

    def _turn(self) -> None:
        """One thing happens."""
        if self.random.random() < 0.25:
            self.pass_time(self.random.uniform(0.0, 0.05))
        ready = self._ready()
        luck = self.random.random()
        if luck < 0.015:
            self._trouble()
        elif ready and luck < 0.6:
            self._go(self.random.choice(ready))
        elif luck > 0.9 or not self._start_something():
            self._wait()

    # ── strands ──

    def _ready(self) -> list[Strand]:
        return [strand for process in self.processes for strand in process.strands if strand.is_ready(self.now)]

    def _go(self, strand: Strand) -> None:
        strand.paused_at = self.now
        self.stage.go(strand)
        strand.paused_at = self.now
        if strand.process.is_doomed:
            self._bury(strand.process)
        elif strand.over:
            self._end(strand)

    def _end(self, strand: Strand) -> None:
        strand.process.strands.remove(strand)
        if strand.error is not None and not strand.is_call:
            self.happened["a task ended with an error"] += 1
            # Not what Postgres says below it: where a row lies in its file is no step of the seed.
            said = str(strand.error).partition("\n")[0][:80]
            self.tell(f"{strand} ends with {type(strand.error).__name__}: {said}")
        if after := self._after.pop(strand, None):
            after(strand)
        if strand.process.is_stopped():
            strand.process.start_again()

    def _bury(self, process: Process) -> None:
        strands = list(process.strands)
        self.tell(f"{process.name} is dead, with {len(strands)} threads")
        process.bury()
        for strand in strands:
            strand.crashed = True
            if after := self._after.pop(strand, None):
                after(strand)

    def others_in_transaction(self, strand: Strand) -> bool:
        return any(
            other.in_transaction for process in self.processes for other in process.strands if other is not strand
        )

    def spawn(
        self, kind: str, name: str, work: Callable[[], Any], after: Callable[[Strand], None] | None = None
    ) -> bool:
        """Begins work in some process of a kind that has room; False when none has."""
        free = [process for process in self.processes if process.kind == kind and process.has_room]
        if not free:
            return False
        strand = self.random.choice(free).spawn(name, work)
        if after:
            self._after[strand] = after
        return True

    # ── what may begin ──

    def _start_something(self) -> bool:
        """The first that can begin, in some order; False when nothing can."""
        starts = [self.start_request, self._start_relay, self._start_tick, self._start_act, self._want_to_cancel]
        weights = [6, 4, 1, 0.2, 0.4]
        starts, weights = [*starts, self.start_ring], [*weights, 9]
        while starts:
            [start] = self.random.choices(starts, weights)
            if start():
                return True
            place = starts.index(start)
            del starts[place], weights[place]
        return False

    def start_request(self) -> bool:
        if not self.has_room("web"):
            return False
        if hooks := self.people.due_webhooks():
            hook = self.random.choice(hooks)
            return self.spawn("web", "webhook", self.people.report(hook), partial(self.people.reported, hook))
        if wishes := self.people.due_wishes():
            wish = self.random.choice(wishes)
            return self.spawn("web", wish.name, self.people.ask(wish), partial(self.people.heard, wish))
        return False

    def has_room(self, kind: str) -> bool:
        return any(process.kind == kind and process.has_room for process in self.processes)

    def _start_relay(self) -> bool:
        """When it was woken, or its poll interval is over."""
        if not self.notified and self.now < self._relayed_at + POLL_SECONDS:
            return False
        self.notified, self._relayed_at = False, self.now
        return self.spawn("relay", "relay", relay.run_once)

    def _start_tick(self) -> bool:
        """Beat's, by the broker, or the relay's own."""
        if self.now < self._ticked_at + POLL_SECONDS and self.random.random() < 0.8:
            return False
        self._ticked_at = self.now
        name = self.random.choice(TICKS)
        if self.random.random() < 0.5:
            self.broker.send_tick(name)
            return True
        return self.spawn("relay", name, partial(periodic.run, name))

    def start_ring(self) -> bool:
        free = [process for process in self.processes if process.kind in {"worker", "remote"} and process.has_room]
        if not free:
            return False
        process = self.random.choice(free)
        ring = self.broker.take(process.serves)
        if ring is not None:
            process.spawn(ring.name, partial(_answer, ring))
        return ring is not None

    def _start_act(self) -> bool:
        if not self.has_room("desk") or (act := self._look(self.people.act)) is None:
            return False
        self.tell(f"operator: {act[0]}")
        self.happened[f"operator: {act[0].split()[0]}"] += 1
        return self.spawn("desk", act[0], act[1])

    def _want_to_cancel(self) -> bool:
        cancelled = {wish.order.name for wish in self.people.wishes if wish.order}
        placed = [wish for wish in self.people.wishes if wish.order_id and wish.name not in cancelled]
        if not placed or self.random.random() < 0.8:
            return False
        order = self.random.choice(placed)
        self.tell(f"{order.name} is wanted no more")
        self.people.wants_to_cancel(order)
        return True

    def _look(self, question: Callable[[], Any]) -> Any:
        """A reading of the world's own: at the simulated time."""
        database.show(self.now)
        return question()

    # ── trouble ──

    def _trouble(self) -> None:
        process = self.random.choice(self.processes)
        match self.random.choice(["kill", "freeze", "stop", "wipe", "broker", "outage", "hours"]):
            case "kill":
                self.happened["a process was killed"] += 1
                process.doom()
                self._bury(process)
            case "freeze":
                self._freeze(process)
            case "stop" if process.is_up:
                self.tell(f"{process.name} is asked to stop")
                self.happened["a process was asked to stop"] += 1
                process.stop()
                if process.is_stopped():
                    process.start_again()
            case "wipe":
                self.broker.wipe()
            case "broker":
                seconds = self.random.uniform(1, 30)
                self.tell(f"the broker is down for {seconds:.0f} s")
                self.happened["the broker was down"] += 1
                self.broker.down_until = self.now + seconds
            case "outage":
                provider = self.random.choice(["payments", "shipping"])
                mood, seconds = self.random.choice(["down", "dead"]), self.random.uniform(5, 120)
                self.tell(f"{provider} is {mood} for {seconds:.0f} s")
                self.happened["a provider was away"] += 1
                self.network.outages[provider] = (mood, self.now + seconds)
            case "hours" if self.random.random() < 0.4:
                hours = self.random.choice((1, 6, 25, 60))
                self.happened[f"{hours} hours passed"] += 1
                self.tell(f"{hours} hours pass")
                self.pass_time(hours * 3600.0)

    def _freeze(self, process: Process) -> None:
        seconds = self.random.choice((1.0, 12.0, 40.0)) * self.random.uniform(0.5, 1.5)
        self.tell(f"{process.name} freezes for {seconds:.1f} s, with {len(process.strands)} threads")
        self.happened["a process froze at work" if process.strands else "an idle process froze"] += 1
        process.freeze(seconds)

    # ── time ──

    def later(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + max(seconds, 0.0), next(self._numbers), happens))

    def pass_time(self, seconds: float) -> None:
        """Time goes on; what was to happen meanwhile happens at its moment."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            at, _, happens = heapq.heappop(self._events)
            self.now = max(self.now, at)
            happens()
        self.now = until
        self._end_idle_transactions()

    def _wait(self) -> None:
        """Until the next thing that waits for time."""
        if self.random.random() < 0.4:
            self.pass_time(self.random.choice((0.5, 1.0, 5.0, 16.0, 31.0)) * self.random.random())
            return
        if (moment := self.next_moment()) is not None:
            self.pass_time(moment - self.now + 0.001)

    def next_moment(self) -> float | None:
        moments = [self._events[0][0]] if self._events else []
        for process in self.processes:
            moments += [process.starts_at, process.frozen_until]
            moments += [strand.ready_at for strand in process.strands if strand.ready_at is not None]
        moments += [wish.next_at for wish in self.people.wishes if not wish.is_over]
        moments += [hook["next_at"] for hook in self.people.webhooks if hook["next_at"] != float("inf")]
        moments += [ring.not_before for ring in self.broker.rings]
        return min((moment for moment in moments if moment > self.now), default=None)

    def _end_idle_transactions(self) -> None:
        """idle_in_transaction_session_timeout: Postgres ends the session; whoever held it learns that later."""
        for process in self.processes:
            for strand in process.strands:
                if strand.in_transaction and self.now - strand.paused_at > IDLE_IN_TRANSACTION_SECONDS:
                    assert strand.runner is not None
                    strand.runner.hang_up()
                    strand.in_transaction = False
                    strand.fault = OperationalError("terminating connection due to idle-in-transaction timeout")
                    self.locks_released += 1
                    self.happened["an idle transaction was ended"] += 1

    # ── the end ──

    def _heal(self) -> None:
        """Nothing goes wrong any more; operators help what waits for them; until nothing is left to do."""
        self.tell("the weather is fine again")
        self.fate.calm = True
        self.broker.down_until = 0.0
        self.network.outages.clear()
        healing = Healing(self)
        for _ in range(TURNS_TO_HEAL):
            if ready := self._ready():
                self._go(self.random.choice(ready))
            elif not healing.goes_on():
                self.tell("all is quiet")
                return
        raise AssertionError("it does not come to rest")

    def mended_by_sweep(self) -> int:
        return int(telemetry.RECOVERED._value.get()) - self._recovered_before

    # ── the story ──

    def tell(self, what: str) -> None:
        strand = self.stage.current
        self.story.append(f"{self.now:10.3f} {str(strand) if strand else '':38} {what}")

    def label(self, about: Any) -> str:
        """A short name for an order, for whatever names it: its id, its saga's, a key that begins with that."""
        text = str(about).split(":")[0]
        text = self.aliases.get(text, text)
        return self._labels.setdefault(text, f"#{len(self._labels) + 1}")

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.story).encode()).hexdigest()


def _answer(ring: Ring) -> None:
    (tasks.run_tick if ring.is_tick else tasks.deliver)(ring.name)
