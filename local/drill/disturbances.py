"""How disturbances are delivered: wires that are cut or slow, providers in a mood, messages that come twice or in vain.

Each method is one delivery (`local.drill.chaos`). Nothing here ends a process.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import kombu
import requests
from celery import Celery
from uuid_utils.compat import uuid7

from local.drill.chaos import Delivery, Told, patiently
from local.drill.counters import Metrics, Rows
from local.drill.probes import LOCAL, REMOTE
from local.drill.service import Service
from local.proxy import COMMIT

MOODS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "flaky": ("flaky", {}),
    "down": ("down", {}),
    "dead": ("dead", {}),
    "forgetful": ("ok", {"drop_reply": 0.3, "5xx_after": 0.1}),
}
TRIES = 20
DYING_TRIES = 600
DELAY_SECONDS = 0.05
PROVIDER_DELAY_SECONDS = 0.5
RINGS_EACH = 4
UNKNOWN_COMMITS = "idempotency_unknown_commits_total"

# As a broker does that delivers twice, or an operator who requeues what was done: consumers must know it (I5).
REDELIVER = """
UPDATE outbox_outboxmessage
SET state = 'open', due_at = statement_timestamp(), attempts = 0, finished_at = NULL, claimed_at = NULL,
    epoch = epoch + 1
WHERE key IN (
    SELECT key FROM outbox_outboxmessage WHERE state = 'done' AND NOT order_free AND destination = ANY(%s)
    ORDER BY key DESC LIMIT 5 FOR UPDATE SKIP LOCKED)
"""
# About an order that does not exist: no attempt can help it (F8).
HOPELESS = """
INSERT INTO outbox_outboxmessage
    (key, message_id, destination, type, aggregate_type, aggregate_id, order_free, correlation_id, payload, headers,
     state, attempts, epoch, last_error)
VALUES (%s, %s, 'orders.start_fulfilment', 'order.created.v1', 'order', %s, false, %s, %s, '{}', 'open', 0, 0, '')
ON CONFLICT DO NOTHING
"""
STATE = "SELECT state FROM outbox_outboxmessage WHERE key = %s"
TAKE_AWAY = "DELETE FROM outbox_outboxmessage WHERE key = ANY(%s)"


@dataclass
class Disturbances:
    """What each of these faults does to one service."""

    service: Service
    rows: Rows
    metrics: Metrics
    # Hopeless messages that the drill put into the outbox.
    planted: list[UUID] = field(default_factory=list)

    def cut(self, told: Told) -> Delivery:
        for _ in range(TRIES):
            told.count = self.service.wires.named(told.fault.target).cut()
            if told.count:
                told.landed = True
                return
            yield 0.5

    def delay(self, told: Told) -> Delivery:
        wire = self.service.wires.named(told.fault.target)
        seconds = PROVIDER_DELAY_SECONDS if "providers" in told.fault.target else DELAY_SECONDS
        for _ in range(TRIES):
            before = wire.landed.request_bytes
            wire.delay(seconds)
            yield told.fault.for_seconds
            wire.delay(0.0)
            told.landed = wire.landed.request_bytes > before
            if told.landed:
                return

    def black_hole(self, told: Told) -> Delivery:
        """Nothing passes and nobody is told; what waited goes on afterwards."""
        wire = self.service.wires.named(told.fault.target)
        for _ in range(TRIES):
            wire.black_hole()
            yield told.fault.for_seconds
            before = wire.landed.request_bytes
            wire.heal()
            yield 1.0
            told.landed = wire.landed.request_bytes > before
            if told.landed:
                return

    def lose_commit(self, told: Told) -> Delivery:
        """Postgres commits and the web process does not get to know: it must find out (I1)."""
        yield from self._trap_commit(told, forwards=True, found="landed")

    def stop_commit(self, told: Told) -> Delivery:
        """The other way: Postgres never hears of it."""
        yield from self._trap_commit(told, forwards=False, found="absent")

    def _trap_commit(self, told: Told, *, forwards: bool, found: str) -> Delivery:
        """Again until an order's COMMIT was caught: a webhook's is not counted by the key's look-up."""
        wire, before = self.service.wires.web_to_postgres, self.metrics.total(UNKNOWN_COMMITS, found=found)
        for _ in range(TRIES):
            caught = wire.landed.patterns
            wire.cut_after(COMMIT, forwards=forwards)
            for _ in range(TRIES):
                yield 0.5
                told.count = self.metrics.total(UNKNOWN_COMMITS, found=found) - before
                if told.count:
                    told.landed = True
                    return
                if wire.landed.patterns > caught + 1:
                    break

    def mood(self, told: Told) -> Delivery:
        provider, _, mood = told.fault.target.partition(" ")
        for _ in range(TRIES):
            if self.set_mood(provider, mood):
                told.landed = True
                break
            yield 0.5
        yield told.fault.for_seconds
        self.set_mood(provider, "ok")

    def set_mood(self, provider: str, mood: str) -> bool:
        """False while the sandbox is down; it comes back in a good mood."""
        name, rates = MOODS.get(mood, (mood, {}))
        address = f"{self.service.stack.sandbox_url}/moods/{provider}"
        try:
            return requests.post(address, json={"mood": name, "rates": dict(rates)}, timeout=3).ok
        except requests.RequestException:
            return False

    def end_webhooks(self) -> None:
        """The sandbox has some left to send, one by one; a webhook that never comes must do no harm."""
        requests.post(
            f"{self.service.stack.sandbox_url}/webhook-target", json={"url": ""}, timeout=10
        ).raise_for_status()

    def ring_again(self, told: Told) -> Delivery:
        """Old task bodies, many of each: a ring without work must do nothing."""
        told.count = self.ring_all()
        told.landed = told.count > 0
        yield 0.0

    def redeliver(self, told: Told) -> Delivery:
        for _ in range(TRIES):
            told.count += yield from patiently(lambda: self.rows.change(REDELIVER, [*LOCAL, *REMOTE]))
            if told.count:
                told.landed = True
                return
            yield 0.5

    def hopeless(self, told: Told) -> Delivery:
        """Lands when it is dead, visibly, and alone."""
        key, order_id = uuid7(), uuid7()
        payload = json.dumps({"orderId": str(order_id)})
        self.planted.append(key)
        yield from patiently(lambda: self.rows.change(HOPELESS, key, uuid7(), order_id, order_id, payload))
        for _ in range(DYING_TRIES):
            yield 0.5
            state = yield from patiently(lambda: self.rows.ask(STATE, key))
            if state == [("dead",)]:
                told.landed, told.count = True, 1
                return

    def take_away_planted(self) -> None:
        """The drill's own dead letters; what else is dead stays, and is a broken promise."""
        self.rows.change(TAKE_AWAY, self.planted)

    def ring_all(self) -> int:
        """Rings every destination some times, past the bell that counts them; returns how many rings were sent."""
        destinations = [name for name in (*LOCAL, *REMOTE) for _ in range(RINGS_EACH)]
        writer = Celery("drill", set_as_current=False)
        with kombu.Connection(self.service.ground.broker.url(), connect_timeout=5) as connection:
            producer = connection.Producer()
            for name in destinations:
                task = writer.amqp.as_task_v2(str(uuid4()), "outbox.deliver", args=(name,), kwargs={})
                producer.publish(
                    task.body,
                    exchange="",
                    routing_key=queue_of(name),
                    headers=task.headers,
                    serializer="json",
                    **task.properties,
                )
        return len(destinations)


def queue_of(destination: str) -> str:
    """Where a destination's rings go."""
    for words, queue in (("charge_payment", "payments"), ("reread", "payments"), ("shipment", "shipping")):
        if words in destination:
            return queue
    if destination.startswith("notifications."):
        return "notifications"
    return "default" if destination.startswith("orders.") else "steps"
