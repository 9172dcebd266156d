"""Simulated time: one number that the world moves, seen alike by Python and by Postgres, and ids that come from it.

Guarantee: nothing that the engine reads moves by itself: its clocks, its random numbers and its ids come from the seed.
Postgres looks its time up in a setting of the session, through functions that stand before pg_catalog's in the search
path; the columns' defaults are changed to them, in a database of the simulation's own.
Not guaranteed: CURRENT_TIMESTAMP, which is no function. The engine does not use it (F6).
"""

from __future__ import annotations

import random
import time as real_time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection

if TYPE_CHECKING:
    from .world import World

BEGIN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

FUNCTIONS = """
CREATE SCHEMA simulated;
CREATE FUNCTION simulated.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT current_setting('simulated.now')::timestamptz $$;
CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT current_setting('simulated.now')::timestamptz $$;
CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT current_setting('simulated.now')::timestamptz $$;
"""
DEFAULTS = """
SELECT format(
    'ALTER TABLE %s ALTER COLUMN %I SET DEFAULT simulated.statement_timestamp()', d.adrelid::regclass, attname)
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE pg_get_expr(adbin, adrelid) IN ('statement_timestamp()', 'pg_catalog.statement_timestamp()')
"""
# Autovacuum would change, at moments of its own, in which order rows lie in a table.
CALM = """
SELECT format('ALTER TABLE %s SET (autovacuum_enabled = false)', oid::regclass)
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
SESSION = (
    "-c search_path=simulated,public,pg_catalog -c simulated.now=2026-01-05T12:00:00Z"
    " -c statement_timeout=20s -c lock_timeout={lock_timeout} -c synchronous_commit=off"
)


def install() -> None:
    """Gives the connected database the simulated clock. In its functions the search path does the rest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace('simulated') IS NOT NULL")
        if cursor.fetchone()[0]:
            return
        cursor.execute(FUNCTIONS)
        for query in (DEFAULTS, CALM):
            cursor.execute(query)
            for (statement,) in cursor.fetchall():
                cursor.execute(statement)


def moment(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


class SimulatedTime:
    """Stands where the engine's modules have imported `time`. Each process's clocks have a skew of their own."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        strand = self._world.stage.current
        return 1_000.0 + self._world.now + (strand.process.skew if strand else 0.0)

    def time(self) -> float:
        strand = self._world.stage.current
        return moment(self._world.now).timestamp() + (strand.process.skew if strand else 0.0)

    def sleep(self, seconds: float) -> None:
        strand = self._world.stage.current
        assert strand is not None, "the world does not sleep"
        strand.pause(until=self._world.now + seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(real_time, name)


class Ids:
    """UUIDs from the seed and the simulated time; in order, as uuid7's are within one process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(f"{world.seed}:ids")
        self._count = 0

    def uuid7_int(self, *, nanoseconds: int | None = None) -> int:
        self._count += 1
        milliseconds = int(moment(self._world.now).timestamp() * 1000)
        sequence = ((self._count & 0xFFFFFFFF) << 30) | self._random.getrandbits(30)
        return milliseconds << 80 | 0x7 << 76 | (sequence >> 50) << 64 | 0b10 << 62 | (sequence & ((1 << 50) - 1)) << 12

    def uuid4_int(self) -> int:
        number = self._random.getrandbits(128)
        return number & ~(0xF << 76) & ~(0b11 << 62) | 0x4 << 76 | 0b10 << 62
