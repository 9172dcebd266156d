"""P1: four local steps per saga, ours against DBOS and against a bare Celery chain. Run with `--help`.

All three update the same kind of rows on the same durable Postgres, with two worker processes each. A round is: new
rows, everything enqueued in one go, the clock until the last one is complete, then a check that every row was touched
exactly once by every step. Rounds alternate. Then the open loop: sagas arrive one commit at a time at half the rate
that the bars ask for, and once more at half of what we reached.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import psycopg

from benchmarks import open_loop, peers, program
from benchmarks.criterion import Criterion, Limit, Rounds, judge
from benchmarks.place import (
    OURS,
    Place,
    cpu_seconds,
    mean_batch,
    place,
    print_statements,
    round_trips,
    settle,
    wal_position,
)
from benchmarks.report import Report
from benchmarks.sides import DBOS, Chain, Dbos, Ours, Side, check_rows, make_tables, new_rows
from benchmarks.wall import fewest_statements

POLL_SECONDS = 0.02
ROUND_MAX_SECONDS = 300
WARM_UP = 200
PEERS = {"dbos": ("DBOS 3.4, two processes", 10.0), "chain": ("bare Celery chain", 5.0)}
BATCHES = (1, 10, 50, 200)
# The open loop's: the bar, and for who looks for the wall our own rate, where each arrival costs as much as its saga.
RATES_OF = ("must be reached", "was reached")


@dataclass
class Measured:
    """What one round took, and cost in Postgres, per saga."""

    per_second: float
    enqueue_share: float
    round_trips: float
    wal_bytes: float
    batch: float | None
    # Of the workers (and relay), and of Postgres: what the machine's other work does not stretch.
    worker_cpu_ms: float
    postgres_cpu_ms: float

    @property
    def cpu_ms(self) -> float:
        return self.worker_cpu_ms + self.postgres_cpu_ms

    def line(self) -> str:
        batch = f", batch {self.batch:.1f}" if self.batch else ""
        return (
            f"{self.per_second:7,.0f} sagas/s, enqueuing {self.enqueue_share:.0%} of it; per saga "
            f"{self.round_trips:.1f} round trips, {self.wal_bytes / 1000:.1f} kB of WAL, "
            f"{self.worker_cpu_ms:.2f} + {self.postgres_cpu_ms:.2f} ms of CPU (workers + Postgres){batch}"
        )


def one_round(side: Side, connection: psycopg.Connection[Any], count: int, *, postgres: int) -> Measured:
    rows = new_rows(connection, count)
    settle(connection)
    wal, trips = wal_position(connection), round_trips(connection)
    cpu, postgres_cpu = cpu_seconds(side.workers()), cpu_seconds([postgres])
    began = side.start(rows)
    enqueued = time.time()
    while (left := connection.execute(side.left).fetchone()) != (0,):
        if time.time() - began > ROUND_MAX_SECONDS:
            raise SystemExit(f"{side.name}: {left} are still open after {ROUND_MAX_SECONDS} s.")
        time.sleep(POLL_SECONDS)
    seconds = time.time() - began
    check_rows(connection, side.name)
    return Measured(
        per_second=count / seconds,
        enqueue_share=(enqueued - began) / seconds,
        round_trips=(round_trips(connection) - trips) / count,
        wal_bytes=(wal_position(connection) - wal) / count,
        batch=mean_batch(connection),
        worker_cpu_ms=(cpu_seconds(side.workers()) - cpu) * 1000 / count,
        postgres_cpu_ms=(cpu_seconds([postgres]) - postgres_cpu) * 1000 / count,
    )


def compare(sides: Sequence[Side], here: Place, options: argparse.Namespace) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {side.name: [] for side in sides}
    postgres = here.postgres_pid()
    connections = {name: here.connect(name) for name in {side.database for side in sides}}
    for number in range(options.rounds):
        for side in sides:
            with side.running():
                if number == 0 or side.name == "dbos":
                    one_round(side, connections[side.database], WARM_UP, postgres=postgres)
                found = one_round(side, connections[side.database], options.count, postgres=postgres)
            measured[side.name].append(found)
            print(f"  round {number + 1} {side.name:6} {found.line()}", flush=True)
            if side.name == "ours" and number == options.rounds - 1 and options.statements:
                print_statements(connections[side.database])
    return measured


def batch_series(here: Place, options: argparse.Namespace) -> list[dict[str, float]]:
    """Our rate when a claim takes at most so many messages."""
    points: list[dict[str, float]] = []
    with here.connect() as connection:
        for batch in BATCHES:
            here.stack.stop("worker")
            size = {"OUTBOX_CLAIM_BATCH_SIZE": str(batch), "OUTBOX_CLAIM_BATCH_MAX_SIZE": str(batch)}
            here.stack.start("worker", environment=size)
            here.stack.wait_until_ready("worker")
            one_round(Ours(here), connection, WARM_UP, postgres=here.postgres_pid())
            count = min(options.count, 40 * batch + 200)
            found = one_round(Ours(here), connection, count, postgres=here.postgres_pid())
            points.append({"batch": batch, "per_second": round(found.per_second)})
            print(f"  at most {batch:3} a claim: {found.line()}", flush=True)
    return points


def criteria_of(measured: dict[str, list[Measured]], limit: Limit) -> list[Criterion]:
    ours = [one.per_second for one in measured["ours"]]
    return [
        judge(
            f"ours : {peer}",
            Rounds(unit="sagas/s", ours=ours, theirs=[one.per_second for one in measured[side]], peer=peer),
            at_least=bound,
            limit=limit,
        )
        for side, (peer, bound) in PEERS.items()
        if side in measured
    ]


def measure(options: argparse.Namespace) -> Report:
    wanted = options.sides.split(",")
    with place() as here:
        here.fresh_database(DBOS)
        for name in (OURS, DBOS):
            with here.connect(name) as connection:
                make_tables(connection)
        here.use_django()
        here.stack.start("relay", "worker")
        here.stack.wait_until_ready("relay", "worker")
        print(f"  worker's process id: {here.stack.programs['worker'].pid} (its children do the work)", flush=True)
        all_sides: list[Side] = [Ours(here), Chain(here)]
        if "dbos" in wanted:
            all_sides.append(Dbos(here, peers.python()))
        measured = compare([side for side in all_sides if side.name in wanted], here, options)
        limit = fewest_statements(here)
        criteria = criteria_of(measured, limit)
        series, arrivals = {}, []
        if not options.only_rounds:
            bar, reached = half_of_what_must_be(measured), median(one.per_second for one in measured["ours"]) / 2
            arrivals = [open_loop.measure(here, rate=rate, seconds=options.open_seconds) for rate in (bar, reached)]
            criteria.append(arrivals[0].criterion())
            series = {"saga_by_batch": batch_series(here, options)}
    return Report(
        target="p1",
        title="Four local steps per saga, enqueue to all done",
        criteria=criteria,
        versions={"dbos": "3.4.0"},
        series=series,
        notes=[
            *(note(name, found) for name, found in measured.items()),
            *(f"open loop at half of what {of}: {one.line()}" for of, one in zip(RATES_OF, arrivals, strict=False)),
        ],
    )


def half_of_what_must_be(measured: dict[str, list[Measured]]) -> float:
    """The open loop's rate: half of the higher of the two bars."""
    bars = [bound * median(one.per_second for one in measured[side]) for side, (_, bound) in PEERS.items()]
    return max(bars) / 2


def note(name: str, found: Sequence[Measured]) -> str:
    return (
        f"{name}: {mean(one.cpu_ms for one in found):.2f} ms of CPU, {found[-1].round_trips:.1f} round trips and "
        f"{found[-1].wal_bytes / 1000:.1f} kB of WAL per saga"
    )


def main() -> None:
    parser = program.parser(__doc__, "p1", rounds=5)
    parser.add_argument("--count", type=int, default=2_000, help="sagas per round")
    parser.add_argument("--sides", default="ours,dbos,chain")
    parser.add_argument("--open-seconds", type=int, default=60, help="of the open loop")
    parser.add_argument("--only-rounds", action="store_true", help="neither the open loop nor the series of batches")
    parser.add_argument("--statements", action="store_true", help="print our most expensive SQL statements")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
