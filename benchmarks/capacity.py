"""What one order asks of each process, of Postgres's log and of its disk, under as much traffic as the machine bears.

All processes of the service with the sandbox answering at once; a few clients place orders in a closed loop, webhooks
come, and the clock runs until nothing is left to do. No bar to reach: docs/scaling.md calculates with these figures.
Not measured here: what a slow provider costs in call slots, which is its time and no processor's.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg

from benchmarks import program
from benchmarks.load import Requests, send_together
from benchmarks.place import Place, cpu_seconds, place, settle, wait_for_rest, wal_position
from benchmarks.report import Report

CLIENTS = 8
WARM_UP = 200
BODY: dict[str, object] = {
    "currency": "EUR",
    "items": [{"sku": "WIDGET", "quantity": 1}, {"sku": "GADGET", "quantity": 2}],
}
# Their clients and the provider stand on other machines.
SERVICE = ("web", "relay", "beat", "worker", "remote-worker")
POSTGRES = "Postgres"
# By the app that owns the table: what stays, and what a purge takes.
KEPT = {
    "order, money, stock, parcel": ("orders", "payments", "shipping", "inventory", "notifications"),
    "outbox and inbox": ("outbox",),
    "saga": ("sagas",),
    "idempotency key and answer": ("idempotency",),
}
SIZES = """
SELECT /* bench-own */ split_part(relname, '_', 1), sum(pg_total_relation_size(oid))::bigint
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Counters at one moment: seconds of CPU by process, bytes of WAL, bytes on disk by app."""

    cpu: dict[str, float]
    wal: int
    sizes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Round:
    """What an order cost in one round: milliseconds of CPU by process, kB of WAL; and how many a second there were."""

    per_second: float
    cpu_ms: dict[str, float]
    wal_kb: float

    def line(self) -> str:
        costs = ", ".join(f"{name} {ms:.1f}" for name, ms in self.cpu_ms.items())
        return f"{self.per_second:,.0f} orders/s; ms of CPU an order: {costs}; {self.wal_kb:.1f} kB of WAL"


def read(here: Place, connection: psycopg.Connection[Any]) -> Reading:
    pids = {name: here.stack.programs[name].pid or 0 for name in SERVICE} | {POSTGRES: here.postgres_pid()}
    return Reading(
        cpu={name: cpu_seconds([pid]) for name, pid in pids.items()},
        wal=wal_position(connection),
        sizes=dict(connection.execute(SIZES).fetchall()),
    )


def one_round(here: Place, connection: psycopg.Connection[Any], requests: Requests, orders: int) -> Round:
    settle(connection)
    before, began = read(here, connection), time.monotonic()
    send_together(requests, count=orders, clients=CLIENTS)
    wait_for_rest(connection)
    seconds, after = time.monotonic() - began, read(here, connection)
    return Round(
        per_second=orders / seconds,
        cpu_ms={name: (after.cpu[name] - before.cpu[name]) * 1000 / orders for name in after.cpu},
        wal_kb=(after.wal - before.wal) / orders / 1000,
    )


def measure(options: argparse.Namespace) -> Report:
    with place() as here, here.connect() as connection:
        here.environment |= {"EMAIL_URL": "dummymail://"}
        here.use_django()
        from local.seed import seed_demo  # only now does the environment name the database

        token = seed_demo(here.folder)["tokens"]["customer"]
        here.stack.start()
        here.stack.wait_until_ready()
        requests = Requests(port=here.stack.web_port, path="/orders", token=token, body=BODY, keyed=True)
        one_round(here, connection, requests, WARM_UP)
        empty = read(here, connection)
        rounds = []
        for _ in range(options.rounds):
            rounds.append(one_round(here, connection, requests, options.orders))
            print(f"  {rounds[-1].line()}", flush=True)
        connection.execute("VACUUM")
        full = read(here, connection)
    return report(rounds, disk(empty, full, options.rounds * options.orders))


def disk(empty: Reading, full: Reading, orders: int) -> list[dict[str, Any]]:
    """Bytes an order leaves behind, by how long they stay."""
    grown = {app: size - empty.sizes.get(app, 0) for app, size in full.sizes.items()}
    return [
        {"what": what, "disk_kb": round(sum(grown.get(app, 0) for app in apps) / orders / 1000, 1)}
        for what, apps in KEPT.items()
    ]


def report(rounds: Sequence[Round], kept: list[dict[str, Any]]) -> Report:
    cpu = {name: median(one.cpu_ms[name] for one in rounds) for name in rounds[0].cpu_ms}
    return Report(
        target="capacity",
        title="What an order asks of each process",
        criteria=[],
        tables={
            "whole": [
                {
                    "this machine": "order to rest, two lines, one webhook",
                    "orders_per_second": round(median(one.per_second for one in rounds)),
                    "cpu_ms": round(sum(cpu.values()), 1),
                    "wal_kb": round(median(one.wal_kb for one in rounds), 1),
                }
            ],
            "by_process": [
                {"process": name, "cpu_ms": round(ms, 2), "orders_per_core_second": round(1000 / ms)}
                for name, ms in cpu.items()
            ],
            "disk": kept,
        },
        notes=[one.line() for one in rounds],
    )


def main() -> None:
    parser = program.parser(__doc__, "capacity", rounds=3)
    parser.add_argument("--orders", type=int, default=1_000, help="of one round")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
