"""How long recovery took: each probe begins at a fault and ends when the work that it hit has gone on.

Guarantees to measure rows and answers, not processes: a claim that was taken up, a due message that was claimed, an
order that was answered for. Precise to a look of the drill (a quarter of a second).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from local.drill.counters import Rows

# Index outbox_open.
CLAIMED_BY_DESTINATIONS = """
SELECT key, epoch FROM outbox_outboxmessage
WHERE state = 'open' AND claimed_at IS NOT NULL AND due_at > statement_timestamp() AND destination = ANY(%s)
"""
DUE = """
SELECT key, epoch FROM outbox_outboxmessage
WHERE state = 'open' AND due_at <= statement_timestamp() AND NOT EXISTS (
    SELECT FROM outbox_destination d WHERE d.name = destination AND d.paused_until > statement_timestamp())
ORDER BY id LIMIT 1000
"""
# Neither finished, nor claimed by somebody else, nor given back.
STILL_THERE = """
SELECT count(*) FROM outbox_outboxmessage m JOIN unnest(%s::uuid[], %s::int[]) AS seen(key, epoch)
  ON m.key = seen.key AND m.epoch = seen.epoch
WHERE m.state = 'open' AND (m.claimed_at IS NOT NULL OR m.due_at <= statement_timestamp())
"""
REMOTE = (
    *("fulfil_order.charge_payment", "fulfil_order.charge_payment.undo", "fulfil_order.create_shipment"),
    *("fulfil_order.create_shipment.undo", "payments.reread", "notifications.order_confirmed"),
    *("notifications.order_rejected", "notifications.order_cancelled", "notifications.order_refunded"),
)
LOCAL = (
    *("fulfil_order.reserve_stock", "fulfil_order.reserve_stock.undo", "fulfil_order.confirm_order"),
    *("orders.start_fulfilment", "orders.undo_late_charge", "orders.announce_refund"),
)


@dataclass
class Probe:
    """One wait: which rows, since when."""

    rows: list[tuple[UUID, int]]
    began: float = field(default_factory=time.monotonic)


@dataclass
class Recovery:
    """One line of the table: a kind of fault and the times that it took to recover from."""

    what: str
    bound_seconds: float
    seconds: list[float] = field(default_factory=list)
    under_way: list[Probe] = field(default_factory=list)

    @property
    def longest(self) -> float | None:
        return max(self.seconds, default=None)

    @property
    def is_within(self) -> bool:
        return self.longest is None or self.longest <= self.bound_seconds


class Probes:
    """All probes of one drill."""

    def __init__(self, rows: Rows, *, claim_seconds: float) -> None:
        self._rows = rows
        # While faults come on top of each other, no time could be laid to one of them.
        self.measuring = False
        self.kill = Recovery("after a kill, until its claims were taken up", claim_seconds + 5.0)
        self.wipe = Recovery("after a wiped broker, until what was due was claimed", 10.0)
        self.broker = Recovery("after a broker's restart, until what was due was claimed", 10.0)
        self.postgres = Recovery("after Postgres came back, until the next 201", 10.0)
        # When Postgres answered again, by this machine's clock: the customers' log tells when they were answered.
        self.postgres_back: list[float] = []

    def all(self) -> tuple[Recovery, ...]:
        return self.kill, self.wipe, self.broker, self.postgres

    def after_kill(self, process: str) -> None:
        """Its claims, and those of its twin, which end in time anyway."""
        destinations = REMOTE if process.startswith("remote") else LOCAL
        self._begin(self.kill, self._seen(CLAIMED_BY_DESTINATIONS, list(destinations)))

    def after_wipe(self) -> None:
        self._begin(self.wipe, self._seen(DUE))

    def after_broker_restart(self) -> None:
        self._begin(self.broker, self._seen(DUE))

    def after_postgres(self) -> None:
        if self.measuring:
            self.postgres_back.append(time.time())

    def look(self) -> None:
        """Ends the probes whose rows have all gone on. Postgres may be away: then nothing has."""
        for recovery in (self.kill, self.wipe, self.broker):
            for probe in list(recovery.under_way):
                if self._has_gone_on(probe):
                    recovery.under_way.remove(probe)
                    recovery.seconds.append(time.monotonic() - probe.began)

    def end(self, first_answer_after: Callable[[float], float | None]) -> None:
        """The last look, and what the customers' log says of Postgres' returns."""
        self.look()
        found = [first_answer_after(moment) for moment in self.postgres_back]
        self.postgres.seconds += [seconds for seconds in found if seconds is not None]

    @property
    def under_way(self) -> int:
        return sum(len(recovery.under_way) for recovery in self.all())

    def _begin(self, recovery: Recovery, rows: list[tuple[UUID, int]]) -> None:
        if rows and self.measuring:
            recovery.under_way.append(Probe(rows))

    def _seen(self, statement: str, *parameters: object) -> list[tuple[UUID, int]]:
        try:
            return [(key, epoch) for key, epoch in self._rows.ask(statement, *parameters)]
        except psycopg.Error:
            return []

    def _has_gone_on(self, probe: Probe) -> bool:
        keys, epochs = [key for key, _ in probe.rows], [epoch for _, epoch in probe.rows]
        try:
            return not self._rows.ask(STILL_THERE, keys, epochs)[0][0]
        except psycopg.Error:
            return False
