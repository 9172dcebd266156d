"""The sandbox's own books: one SQLite file that survives restarts and kills, and knows nothing of our database.

Guarantees that an effect and the answer stored under its idempotency key are written together, and that every breach of
the rules that callers must keep is found by `violations`. Not guaranteed: survival of a power cut (no fsync per write).
"""

# ruff: noqa: S608 - the names of tables and columns are constants of this package

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, idempotency_key TEXT UNIQUE NOT NULL, order_id TEXT NOT NULL,
    amount_minor INTEGER NOT NULL, refunded_minor INTEGER NOT NULL DEFAULT 0, currency TEXT NOT NULL,
    payment_method TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, created_ms INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS charges_by_order ON charges (order_id);
CREATE TABLE IF NOT EXISTS refunds (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, idempotency_key TEXT UNIQUE NOT NULL, charge_id TEXT NOT NULL,
    amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
    created_ms INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS shipments (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, idempotency_key TEXT UNIQUE NOT NULL, order_id TEXT NOT NULL,
    lines TEXT NOT NULL, tracking_number TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
    created_ms INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS shipments_by_order ON shipments (order_id);
CREATE TABLE IF NOT EXISTS cancellations (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, idempotency_key TEXT UNIQUE NOT NULL,
    shipment_id TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, created_ms INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS answers (
    idempotency_key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS breaches (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, about TEXT NOT NULL);
"""
TABLES = ("charges", "refunds", "shipments", "cancellations")
# Two keys for one operation, whatever became of each: a caller that makes up a second key may pay twice. What goes back
# may be asked for again under another key once it was refused: a refusal is repeated to whoever asks under its own.
FOUND = {
    "two_charge_keys_for_one_order": "SELECT order_id FROM charges GROUP BY order_id HAVING count(*) > 1",
    "two_refund_keys_for_one_charge": (
        "SELECT DISTINCT later.charge_id FROM refunds earlier JOIN refunds later "
        "ON later.charge_id = earlier.charge_id AND later.number > earlier.number WHERE earlier.status <> 'declined'"
    ),
    "two_shipment_keys_for_one_order": "SELECT order_id FROM shipments GROUP BY order_id HAVING count(*) > 1",
    "two_cancellation_keys_for_one_shipment": (
        "SELECT DISTINCT later.shipment_id FROM cancellations earlier JOIN cancellations later "
        "ON later.shipment_id = earlier.shipment_id AND later.number > earlier.number WHERE earlier.status <> 'refused'"
    ),
    "refunded_more_than_charged": (
        "SELECT c.id FROM charges c JOIN refunds r ON r.charge_id = c.id AND r.status = 'refunded' "
        "GROUP BY c.id, c.amount_minor HAVING sum(r.amount_minor) > c.amount_minor"
    ),
}
Row = dict[str, Any]
# What an operation answers: HTTP status and JSON.
Answer = tuple[int, Row]


class Ledger:
    """One connection behind one lock: SQLite has one writer anyway."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)
        self._add_missing_columns()

    def _add_missing_columns(self) -> None:
        """A ledger that an older sandbox left behind goes on."""
        for table in TABLES:
            columns = {row["name"] for row in self.rows(f"PRAGMA table_info({table})")}
            if "created_ms" not in columns:
                self.change(f"ALTER TABLE {table} ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def perform(self, key: str, *, fingerprint: str, effect: Callable[["Ledger"], Answer]) -> Answer:
        """The effect and its answer under the key, in one transaction."""
        with self._transaction():
            status, body = effect(self)
            self._connection.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?)", (key, fingerprint, status, json.dumps(body))
            )
        return status, body

    def answer(self, key: str) -> tuple[str, Answer] | None:
        """Fingerprint and answer stored under a key."""
        rows = self.rows("SELECT * FROM answers WHERE idempotency_key = ?", key)
        return (rows[0]["fingerprint"], (rows[0]["status"], json.loads(rows[0]["body"]))) if rows else None

    def enter(self, table: str, prefix: str, **columns: object) -> Row:
        """A new entry with an id of its own."""
        entry = {"id": f"{prefix}_{uuid7().hex}", "created_ms": int(time.time() * 1000), **columns}
        names, marks = ", ".join(entry), ", ".join("?" * len(entry))
        with self._lock:
            self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(entry.values()))
        return self.entry(table, str(entry["id"]))

    def entry(self, table: str, entry_id: str) -> Row:
        """One entry; raises KeyError."""
        rows = self.rows(f"SELECT * FROM {table} WHERE id = ?", entry_id)
        if not rows:
            raise KeyError(entry_id)
        return _shown(rows[0])

    def by_key(self, table: str, key: str) -> list[Row]:
        return [_shown(row) for row in self.rows(f"SELECT * FROM {table} WHERE idempotency_key = ?", key)]

    def page(self, table: str, *, after: str, limit: int) -> list[Row]:
        """Entries in the order they were made, after the one with that id."""
        last = f"coalesce((SELECT number FROM {table} WHERE id = ?), 0)"
        rows = self.rows(f"SELECT * FROM {table} WHERE number > {last} ORDER BY number LIMIT ?", after, limit)
        return [_shown(row) for row in rows]

    def rows(self, statement: str, *parameters: object) -> list[Row]:
        with self._lock:
            return [dict(row) for row in self._connection.execute(statement, parameters)]

    def change(self, statement: str, *parameters: object) -> None:
        with self._lock:
            self._connection.execute(statement, parameters)

    def breach(self, kind: str, about: str) -> None:
        """A rule that a caller broke just now."""
        self.change("INSERT INTO breaches (kind, about) VALUES (?, ?)", kind, about)

    def violations(self) -> list[Row]:
        found = self.rows("SELECT kind, about FROM breaches ORDER BY number")
        for kind, statement in FOUND.items():
            found += [{"kind": kind, "about": next(iter(row.values()))} for row in self.rows(statement)]
        return found

    def counts(self) -> dict[str, dict[str, int]]:
        """How many entries of each status."""
        return {
            table: {row["status"]: row["n"] for row in self.rows(f"SELECT status, count(*) n FROM {table} GROUP BY 1")}
            for table in TABLES
        }

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _shown(row: Row) -> Row:
    shown = {name: value for name, value in row.items() if name != "number"}
    if "lines" in shown:
        shown["lines"] = json.loads(shown["lines"])
    return shown
