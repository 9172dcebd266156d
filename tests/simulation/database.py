"""Postgres as the simulation uses it: a real one, in which every statement and every COMMIT is a point to act at.

Before and after what commits, and between the statements of a transaction, the world may let another strand run, end
the process, or cut the connection. Transactions of several strands are open side by side, each on its own connection;
one that waits for another's lock gives its turn away and tries again, until the lock timeout of the simulated clock.

Guarantee: what Postgres has committed is what a process that died or was cut off had committed, both ways for a COMMIT
whose reply is lost. Not guaranteed: Postgres's own deadlock report; two that wait for each other meet the lock timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
from django.conf import settings
from django.db import OperationalError, connection

from tests.support.crash import Crash

from . import clock

if TYPE_CHECKING:
    from .strands import Strand
    from .world import World

SUFFIX = "_simulated"
# Real time: whoever holds the lock is not running, so there is nothing to wait for.
LOCK_TIMEOUT = "1ms"
SAVEPOINTS = ("SAVEPOINT", "RELEASE", "ROLLBACK")
TABLES = """
SELECT string_agg(format('SELECT %L WHERE EXISTS (SELECT FROM %I)', relname, relname), ' UNION ALL ') FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
  AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
"""


@contextmanager
def of_its_own() -> Iterator[dict[str, Any]]:
    """A copy of the test database; the settings to connect to it. Only threads of the simulation ever do."""
    original = connection.settings_dict
    name = original["NAME"] + SUFFIX
    connection.close()
    with _maintenance(original) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        # A template has no other sessions; a background thread's connects again.
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [original["NAME"]],
        )
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{original["NAME"]}"')
    try:
        yield {**original, "NAME": name}
    finally:
        with _maintenance(original) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def connect_world(settings_dict: dict[str, Any]) -> None:
    """The connection of the world's own thread: it reads as an operator would, and nothing ever happens to it."""
    connection.settings_dict = _settings(settings_dict, lock_timeout="2s")
    clock.install()


def empty() -> None:
    """Fresh tables: the same seed finds every row where it lay the last time."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        cursor.execute(cursor.fetchone()[0])
        if used := [f'"{name}"' for (name,) in cursor.fetchall()]:
            cursor.execute(f"TRUNCATE {', '.join(used)} RESTART IDENTITY CASCADE")
        cursor.execute("ALTER SEQUENCE outbox_message_number RESTART")


def show(seconds: float) -> None:
    """Sets the world's own connection to the simulated time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('simulated.now', %s, false)", [clock.moment(seconds).isoformat()])


def _settings(original: dict[str, Any], *, lock_timeout: str) -> dict[str, Any]:
    changed = deepcopy(original)
    changed["OPTIONS"]["options"] = clock.SESSION.format(lock_timeout=lock_timeout)
    changed["CONN_HEALTH_CHECKS"] = False
    return changed


def _maintenance(original: dict[str, Any]) -> psycopg.Connection:
    return psycopg.connect(
        host=original["HOST"],
        port=original["PORT"] or None,
        user=original["USER"],
        password=original["PASSWORD"],
        dbname="postgres",
        autocommit=True,
    )


class Seam:
    """One thread's connection. Installed once per thread; acts for whichever strand the thread lends itself to."""

    def __init__(self, world: Callable[[], World], settings_dict: dict[str, Any]) -> None:
        self._world = world
        self._stamp: float | None = None
        connection.settings_dict = _settings(settings_dict, lock_timeout=LOCK_TIMEOUT)
        connection.execute_wrappers.append(self.statement)
        self._real_commit, self._real_rollback = connection._commit, connection._rollback
        self._real_savepoint_rollback = connection._savepoint_rollback
        connection._commit = self.commit
        connection._rollback = self.rollback
        connection._savepoint_rollback = self.savepoint_rollback

    # ── the points ──

    def statement(self, execute: Any, sql: str, *rest: Any) -> Any:
        strand = self._strand()
        self._world().statements += 1
        autocommit = not connection.in_atomic_block
        self._act(strand, sql, may_have_committed=False)
        result = self._execute(strand, execute, (sql, *rest))
        if autocommit:
            self._act(strand, sql, may_have_committed=True)
        return result

    def commit(self) -> None:
        strand = self._strand()
        self._act(strand, "COMMIT", may_have_committed=False)
        self._real_commit()
        self._ended(strand)
        self._act(strand, "COMMIT", may_have_committed=True)

    def rollback(self) -> None:
        self._stamp = None
        try:
            self._real_rollback()
        finally:
            self._ended(self._strand())

    def savepoint_rollback(self, sid: str) -> None:
        self._stamp = None
        self._real_savepoint_rollback(sid)

    # ── what may happen there ──

    def _strand(self) -> Strand:
        strand = self._world().stage.current
        assert strand is not None
        return strand

    def _act(self, strand: Strand, sql: str, *, may_have_committed: bool) -> None:
        if strand.doomed:
            self._die()
        assert not strand.is_call, "a call's thread never touches the database"
        strand.in_transaction = connection.in_atomic_block and not (sql == "COMMIT" and may_have_committed)
        match self._world().fate.at_statement(strand, sql, done=may_have_committed):
            case "pause":
                try:
                    strand.pause()
                except Crash:
                    self._die()
                except OperationalError:
                    self._cut()
            case "crash":
                strand.process.doom()
                self._die()
            case "cut":
                self._cut()

    def _die(self) -> NoReturn:
        """As the server sees it: the session is gone, and its transaction with it."""
        self._stamp = None
        raw = connection.connection
        if raw is not None and not raw.closed and raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            raw.rollback()
        self._ended(self._strand())
        raise Crash

    def _cut(self) -> NoReturn:
        self._stamp = None
        if connection.connection is not None:
            connection.connection.close()
        connection.errors_occurred = True
        self._ended(self._strand())
        raise OperationalError("server closed the connection unexpectedly") from psycopg.OperationalError("cut")

    def _ended(self, strand: Strand) -> None:
        strand.in_transaction = False
        self._world().locks_released += 1

    # ── one statement ──

    def _execute(self, strand: Strand, execute: Any, statement: tuple[Any, ...]) -> Any:
        if statement[0].startswith(SAVEPOINTS):
            return execute(*statement)
        self._tell_time()
        if not self._world().others_in_transaction(strand):
            return execute(*statement)
        in_transaction, gives_up_at = connection.in_atomic_block, None
        while True:
            if in_transaction:
                connection.connection.execute("SAVEPOINT lock_wait")
            try:
                result = execute(*statement)
            except OperationalError as error:
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    raise
                if in_transaction:
                    connection.connection.execute("ROLLBACK TO SAVEPOINT lock_wait")
                    connection.connection.execute("RELEASE SAVEPOINT lock_wait")
                connection.errors_occurred = False
                gives_up_at = gives_up_at or self._world().now + settings.DATABASE_LOCK_TIMEOUT_SECONDS
                self._wait_for_lock(strand, gives_up_at, error)
                continue
            if in_transaction:
                connection.connection.execute("RELEASE SAVEPOINT lock_wait")
            return result

    def _wait_for_lock(self, strand: Strand, gives_up_at: float, error: OperationalError) -> None:
        world = self._world()
        world.happened["a statement waited for a lock"] += 1
        if world.now >= gives_up_at:
            world.happened["a lock timeout"] += 1
            raise error
        released = world.locks_released
        try:
            strand.pause(until=gives_up_at, waits_for=lambda: world.locks_released != released)
        except Crash:
            self._die()
        except OperationalError:
            self._cut()
        self._stamp = None
        self._tell_time()

    def _tell_time(self) -> None:
        now = self._world().now
        if connection.connection is None or connection.connection.closed or self._stamp == now:
            return
        connection.connection.execute("SELECT set_config('simulated.now', %s, false)", [clock.moment(now).isoformat()])
        self._stamp = now
