"""The way back to rest, once nothing goes wrong any more: everybody does their work, and operators help what is stuck.

Guarantee: ends when no message is due or waits, nobody is at work, and no saga and no dead message can be helped.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import connection

from outbox import operations as outbox
from outbox import periodic, relay
from outbox.models import OutboxMessage
from sagas import operations as sagas
from sagas.models import Saga

from . import clock, database

if TYPE_CHECKING:
    from .world import World

RELAY_SECONDS = 0.4
TICK_SECONDS = 5.0
# The reconciliation's interval, and what it leaves alone as still under way.
COMPARISON_SECONDS = 100.0
COMPARISONS = 2
# What does not end after so much help needs more than help.
HELP_MAX = 12
# "Try again in a moment": who was refused, or helped in vain, waits first; in all longer than the horizon.
HELP_AGAIN_SECONDS = 5.0

DUE = """
SELECT min(greatest(m.due_at, d.paused_until)) FROM outbox_outboxmessage m
LEFT JOIN outbox_destination d ON d.name = m.destination WHERE m.state = 'open'
"""


class Healing:
    def __init__(self, world: World) -> None:
        self.world = world
        self._relayed_at = self._ticked_at = -1_000.0
        self._helped: Counter[Any] = Counter()
        self._comparisons = COMPARISONS

    def goes_on(self) -> bool:
        """With nobody at work: something begins, or time passes. False: all is at rest."""
        database.show(self.world.now)
        due = self._due_in()
        if self._begins(due):
            return True
        moments = [] if due is None else [self.world.now + max(due, RELAY_SECONDS)]
        if (moment := self.world.next_moment()) is not None:
            moments.append(moment)
        if moments:
            self.world.pass_time(min(moments) - self.world.now + 0.001)
            return True
        return self._helps() or self._compares()

    def _due_in(self) -> float | None:
        """Seconds until some message is due, or its destination's pause ends."""
        with connection.cursor() as cursor:
            cursor.execute(DUE)
            (moment,) = cursor.fetchone()
        return None if moment is None else (moment - clock.moment(self.world.now)).total_seconds()

    def _begins(self, due: float | None) -> bool:
        world = self.world
        if (world.people.due_webhooks() or world.people.due_wishes()) and world.has_room("web"):
            world.start_request()
            return True
        if any(world.start_ring() for _ in range(6) if world.broker.rings):
            return True
        if due is not None and world.now - self._ticked_at >= TICK_SECONDS:
            self._ticked_at = world.now
            return world.spawn("relay", "ticks", self._tick)
        if due is not None and due <= 0 and world.now - self._relayed_at >= RELAY_SECONDS:
            self._relayed_at = world.now
            return world.spawn("relay", "relay", relay.run_once)
        return False

    def _tick(self) -> None:
        from .world import TICKS

        for name in TICKS:
            periodic.run(name)

    def _compares(self) -> bool:
        """What came after everybody had given it up, perhaps only now, is found by comparing the books, and undone."""
        if not self._comparisons or not self.world.happened["an effect beyond the horizon"]:
            return False
        self._comparisons -= 1
        self.world.pass_time(COMPARISON_SECONDS)
        return self.world.spawn("relay", "audit.reconcile", partial(periodic.run, "audit.reconcile"))

    def _helps(self) -> bool:
        """An operator's retry for each saga that waits for one, and a requeue for each dead message."""
        stuck = Saga.objects.filter(status=Saga.Status.NEEDS_ATTENTION).order_by("pk").values_list("pk", "subject_id")
        dead = (
            OutboxMessage.objects.filter(state="dead", order_free=False)
            .order_by("id")
            .values_list("key", "correlation_id")
        )
        acts: list[tuple[Any, Any, partial[Any]]] = [
            (key, order_id, partial(sagas.retry, key, who=None, reason="the weather is fine"))
            for key, order_id in stuck
        ]
        acts += [
            (key, order_id, partial(outbox.requeue, [key], who=None, reason="the weather is fine"))
            for key, order_id in dead
        ]
        for key, order_id, act in acts:
            self._helped[key] += 1
            if self._helped[key] <= HELP_MAX:
                if self._helped[key] > 1:
                    self.world.pass_time(HELP_AGAIN_SECONDS)
                self.world.tell(f"operator helps {self.world.label(order_id)}")
                self.world.happened["an operator helped in the end"] += 1
                return self.world.spawn("desk", "help", act)
        return False
