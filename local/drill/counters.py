"""What the service counted: its own metrics, added up over all its processes, the killed ones too, and its rows.

Guarantees that a count survives the process that made it: the metrics are read from their files, which a SIGKILL leaves
behind. Not guaranteed: a count whose process died between the act and the counting.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

ORDERS = "SELECT status, count(*) FROM orders_order GROUP BY status"
ORDER_IDS = "SELECT id::text FROM orders_order"
ORDER_OF_KEY = "SELECT key, resource_id FROM idempotency_idempotencykey WHERE path = '/orders' AND key = ANY(%s)"
UNDONE = "SELECT count(*) FROM sagas_sagastep WHERE undo_status = 'done'"
# Index outbox_open; the rest is small.
NOT_AT_REST = """
SELECT 'orders pending', count(*) FROM orders_order WHERE status = 'pending'
UNION ALL SELECT 'messages open', count(*) FROM outbox_outboxmessage WHERE state = 'open'
UNION ALL SELECT 'payments unknown', count(*) FROM payments_payment WHERE status IN ('pending', 'unknown', 'late')
UNION ALL SELECT 'sagas under way', count(*) FROM sagas_saga WHERE status IN ('running', 'needs_attention')
"""


@dataclass(frozen=True)
class Metrics:
    """The folder that PROMETHEUS_MULTIPROC_DIR names."""

    folder: Path

    def total(self, name: str, **labels: str) -> int:
        """The sum over everything that has these labels."""
        return round(sum(value for found, value in self._samples(name) if labels.items() <= found.items()))

    def by(self, name: str, label: str) -> Counter[str]:
        totals: Counter[str] = Counter()
        for labels, value in self._samples(name):
            totals[labels.get(label, "")] += round(value)
        return totals

    def _samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.folder))  # type: ignore[no-untyped-call]  # typed in part
        return [
            (sample.labels, sample.value)
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == name
        ]


@dataclass(frozen=True)
class Rows:
    """What stands in the drill's database; each look on a connection of its own, for Postgres comes and goes."""

    database_url: str

    def ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def change(self, statement: str, *parameters: object) -> int:
        with psycopg.connect(self.database_url, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement, parameters or None).rowcount

    def orders(self) -> dict[str, int]:
        return dict(self.ask(ORDERS))

    def order_ids(self) -> set[str]:
        return {order_id for (order_id,) in self.ask(ORDER_IDS)}

    def orders_of(self, keys: list[str]) -> set[str]:
        """The orders of these keys, as the service remembers them."""
        return {order_id for _, order_id in self.ask(ORDER_OF_KEY, keys)}

    def undone(self) -> int:
        return int(self.ask(UNDONE)[0][0])

    def not_at_rest(self) -> dict[str, int]:
        return {what: count for what, count in self.ask(NOT_AT_REST) if count}
