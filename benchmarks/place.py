"""The place of a benchmark: a durable Postgres with pg_stat_statements, a Valkey, and the service's processes.

Guarantees that everything it started ends with it. Everything lies under `ORDERS_LOCAL_DIR`/bench; a second run
uses the same data folder and fresh databases.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg

from local.folder import PROJECT_DIR, Folder, local_dir
from local.postgres import Postgres
from local.stack import Stack
from local.valkey import Valkey

OURS = "bench_ours"
CHECKPOINTS_FAR_APART = ("ALTER SYSTEM SET checkpoint_timeout = '30min'", "ALTER SYSTEM SET max_wal_size = '8GB'")

# BEGIN and COMMIT among them: one call, one round trip. Not the checks of deferred foreign keys, which the server makes
# by itself at COMMIT.
STATEMENTS = """
SELECT /* bench-own */ coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database()
  AND query NOT LIKE '%%bench-own%%' AND query NOT LIKE '%%FROM ONLY%%FOR KEY SHARE%%'
  AND (%(like)s::text[] IS NULL OR query LIKE ANY(%(like)s))
"""
TOP_STATEMENTS = """
SELECT /* bench-own */ calls, rows, round(total_exec_time::numeric), round(mean_exec_time::numeric, 2),
       wal_bytes::bigint, left(regexp_replace(query, '\\s+', ' ', 'g'), 90)
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND query NOT LIKE '%%bench-own%%' ORDER BY total_exec_time DESC LIMIT %s
"""

# Of our own destinations' messages: rows per call of the statement that finishes a batch.
BATCH = "SELECT /* bench-own */ sum(rows)::float / sum(calls) FROM pg_stat_statements WHERE query ILIKE %s"
FINISH = "%UPDATE outbox_outboxmessage m SET state =%finished_at = statement_timestamp()%"


# Where an order's saga begins. Held back by hand: a breaker's pause would end after a few seconds by itself.
START = "orders.start_fulfilment"
HOLD_BACK = """
INSERT /* bench-own */ INTO outbox_destination AS bell (name, slots, rings, pauses, pause_reason, paused_until)
VALUES (%s, 1, 0, 0, 'a round is prepared', now() + interval '1 hour')
ON CONFLICT (name) DO UPDATE SET paused_until = excluded.paused_until, pause_reason = excluded.pause_reason
"""
LEFT = """
SELECT /* bench-own */ (SELECT count(*) FROM outbox_outboxmessage WHERE state <> 'done')
  + (SELECT count(*) FROM orders_order WHERE status <> 'confirmed')
"""
REST_MAX_SECONDS = 120
REST_POLL_SECONDS = 0.1
LET_GO = "UPDATE /* bench-own */ outbox_destination SET paused_until = NULL, pause_reason = '' WHERE name = %s"


@dataclass
class Place:
    """Servers and the environment that names them; `stack` starts the service's processes."""

    folder: Folder
    postgres: Postgres
    valkey: Valkey
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stack = Stack(self.folder, self.environment)
        metrics = self.folder.path / "metrics"
        metrics.mkdir(exist_ok=True)
        for old in metrics.glob("*.db"):
            old.unlink()
        self.environment |= {
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "DATABASE_URL": self.postgres.url(OURS),
            "CELERY_BROKER_URL": self.valkey.url(),
            "SANDBOX_URL": self.stack.sandbox_url,
            "WEBHOOK_URL": f"{self.stack.base_url}/webhooks/payments",
            "DEBUG": "0",
            "LOCAL_TOOLS": "1",
            "HTTPS_ONLY": "0",
            "SECRET_KEY": "only-for-benchmarks-on-loopback-0123456789-abcdefghijklmnop",
            "PAYMENT_WEBHOOK_SECRET": "only-for-benchmarks",
            "THROTTLE_REQUESTS_PER_MINUTE": "0",
            "LOG_LEVEL": "WARNING",
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "ORDERS_LOCAL_DIR": str(self.folder.path),
        } | {
            name: os.environ[name]
            for name in ("OUTBOX_CLAIM_BATCH_SIZE", "OUTBOX_CLAIM_BATCH_MAX_SIZE")
            if name in os.environ
        }

    def manage(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments],
            env={**os.environ, **self.environment},
            cwd=PROJECT_DIR,
            check=True,
        )

    def connect(self, database: str = OURS) -> psycopg.Connection[Any]:
        return psycopg.connect(self.postgres.url(database), autocommit=True)

    def postgres_pid(self) -> int:
        """Of the server; 0 never: it runs."""
        with self.connect("postgres") as connection:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        assert row is not None
        return int(str(row[0]).split()[0])

    def fresh_database(self, name: str) -> None:
        self.postgres.drop_database(name)
        self.postgres.create_database(name)
        with self.connect(name) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")

    def use_django(self) -> None:
        """Makes this process one of the service's own: for starting sagas, for tokens."""
        os.environ.update(self.environment)
        import django  # only now does the environment name the settings

        django.setup()


@contextmanager
def place() -> Iterator[Place]:
    """Servers that run, an empty migrated database, no processes yet."""
    folder = Folder(local_dir() / "bench")
    folder.make()
    with ExitStack() as ending:
        postgres = Postgres(folder, durable=True)
        ending.callback(postgres.end)
        postgres.start()
        valkey = Valkey(folder)
        ending.callback(valkey.end)
        valkey.start()
        # Beside fresh tables the old books would be nothing but differences, and reconciling them most of the work.
        shutil.rmtree(folder.path / "sandbox", ignore_errors=True)
        here = Place(folder, postgres, valkey)
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            for setting in CHECKPOINTS_FAR_APART:
                connection.execute(setting)
            connection.execute("SELECT pg_reload_conf()")
        here.fresh_database(OURS)
        here.manage("migrate", "--no-input", "--verbosity", "0")
        ending.callback(here.stack.end)
        yield here


def settle(connection: psycopg.Connection[Any]) -> None:
    """Before a round: statistics fresh, no vacuum or checkpoint owed, so that no round pays for the one before."""
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")
    connection.execute("SELECT pg_stat_statements_reset()")


def hold_back(connection: psycopg.Connection[Any], destination: str = START) -> None:
    """Nobody begins with what is published for this destination, until `let_go`."""
    connection.execute(HOLD_BACK, [destination])


def let_go(connection: psycopg.Connection[Any], destination: str = START) -> None:
    connection.execute(LET_GO, [destination])


def wait_for_rest(connection: psycopg.Connection[Any]) -> None:
    """Until every order is confirmed and no message is left."""
    gives_up_at = time.monotonic() + REST_MAX_SECONDS
    while (left := connection.execute(LEFT).fetchone()) != (0,):
        if time.monotonic() > gives_up_at:
            raise SystemExit(f"{left} orders and messages are left after {REST_MAX_SECONDS} s.")
        time.sleep(REST_POLL_SECONDS)


def round_trips(connection: psycopg.Connection[Any], *, like: Sequence[str] | None = None) -> int:
    """Since the last reset; `like` counts only statements of these patterns."""
    row = connection.execute(STATEMENTS, {"like": None if like is None else list(like)}).fetchone()
    return int(row[0]) if row else 0


def mean_batch(connection: psycopg.Connection[Any]) -> float | None:
    """How many messages a batch of our own destinations had, since the last reset."""
    row = connection.execute(BATCH, [FINISH]).fetchone()
    return row[0] if row else None


def wal_position(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT /* bench-own */ pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return int(row[0]) if row else 0


def print_statements(connection: psycopg.Connection[Any], *, limit: int = 14) -> None:
    print("    calls     rows     ms  mean ms   WAL kB  statement")
    for calls, rows, total, mean, wal, query in connection.execute(TOP_STATEMENTS, [limit]):
        print(f"  {calls:7,} {rows:8,} {total:6} {mean:8} {wal / 1000:8,.0f}  {query}")


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of these processes and of all their children, the ended ones included."""
    total = 0.0
    for process in (psutil.Process(pid) for pid in pids):
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(member.cpu_times()[:4])
    return total
