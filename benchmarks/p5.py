"""P5: POST /orders against a bare REST framework view that saves an order and its lines. Run with `--help`.

Both behind the same gunicorn (two processes of threads, a pool), middleware, token authentication and Postgres; ours
adds the key's claim, server-side prices, strict parsing, the outbox row and the stored answer. Nothing else runs: what
happens to the orders afterwards is measured elsewhere. Rounds alternate; the clients share the processors with the web.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks import program
from benchmarks.criterion import Limit, Rounds, judge
from benchmarks.load import Requests, closed_loop
from benchmarks.place import Place, cpu_seconds, place, print_statements, round_trips, settle, wal_position
from benchmarks.report import Report

LINES = [("WIDGET", 3, 999), ("GADGET", 1, 2_450), ("CABLE", 2, 450)]
OUR_BODY: dict[str, object] = {"currency": "EUR", "items": [{"sku": sku, "quantity": n} for sku, n, _ in LINES]}
BARE_BODY: dict[str, object] = {
    "currency": "EUR",
    "items": [{"sku": sku, "quantity": n, "unit_price_minor": price} for sku, n, price in LINES],
}
WARM_UP_SECONDS = 2.0
# Beside the intake transaction: who asks, and the wake-up, which one thread sends for many requests.
BESIDE = ("%authtoken_token%", "NOTIFY%")


@dataclass(frozen=True, kw_only=True)
class Round:
    """One side's closed loop; CPU is of the web and of Postgres, all per request but the rate."""

    per_second: float
    cpu_ms: float
    round_trips: float
    beside: float
    wal_kb: float


def requests_of(here: Place, token: str) -> dict[str, Requests]:
    port = here.stack.web_port
    return {
        "ours": Requests(port=port, path="/orders", token=token, body=OUR_BODY, keyed=True),
        "bare": Requests(port=port, path="/bare/orders", token=token, body=BARE_BODY, keyed=False),
    }


def one_round(
    here: Place, connection: psycopg.Connection[Any], requests: Requests, options: argparse.Namespace
) -> Round:
    settle(connection)
    pids = [pid for pid in (here.stack.programs["web"].pid, here.postgres_pid()) if pid]
    wal, cpu = wal_position(connection), cpu_seconds(pids)
    found = closed_loop(requests, clients=options.clients, seconds=options.seconds)
    beside = round_trips(connection, like=BESIDE)
    made = Round(
        per_second=found.per_second,
        cpu_ms=(cpu_seconds(pids) - cpu) * 1000 / found.count,
        round_trips=(round_trips(connection) - beside) / found.count,
        beside=beside / found.count,
        wal_kb=(wal_position(connection) - wal) / found.count / 1000,
    )
    print(
        f"  {requests.path:12} {made.per_second:6,.0f} requests/s, {made.cpu_ms:.2f} ms of CPU, "
        f"{made.round_trips:.2f} + {made.beside:.2f} round trips, {made.wal_kb:.1f} kB of WAL per request",
        flush=True,
    )
    return made


def measure(options: argparse.Namespace) -> Report:
    with place() as here, here.connect() as connection:
        here.use_django()
        from local.seed import seed_demo  # only now does the environment name the database

        token = seed_demo(here.folder)["tokens"]["customer"]
        here.stack.start("web")
        here.stack.wait_until_ready("web")
        print(f"  gunicorn's process id: {here.stack.programs['web'].pid}", flush=True)
        sides = requests_of(here, token)
        for requests in sides.values():
            closed_loop(requests, clients=options.clients, seconds=WARM_UP_SECONDS)
        rounds: dict[str, list[Round]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, requests in sides.items():
                rounds[name].append(one_round(here, connection, requests, options))
                if name == "ours" and len(rounds[name]) == options.rounds and options.statements:
                    print_statements(connection)
    return report(rounds["ours"], rounds["bare"])


def report(ours: list[Round], bare: list[Round]) -> Report:
    return Report(
        target="p5",
        title="POST /orders against a bare REST framework view",
        criteria=[
            judge(
                "POST /orders : bare view",
                Rounds(
                    unit="requests/s",
                    ours=[one.per_second for one in ours],
                    theirs=[one.per_second for one in bare],
                    peer="bare DRF view",
                ),
                at_least=0.6,
                limit=Limit(what="if clients and kernel cost nothing", figure=2_000 / min(one.cpu_ms for one in ours)),
            ),
            # To one decimal: a loop that ends cuts requests short.
            judge(
                "round trips of the intake transaction",
                Rounds(unit="per request", ours=[round(one.round_trips, 1) for one in ours]),
                at_most=8,
            ),
        ],
        notes=[
            f"beside the transaction: {ours[-1].beside:.2f} round trips a request (token, NOTIFY)",
            f"CPU of web and Postgres: {ours[-1].cpu_ms:.2f} ms against {bare[-1].cpu_ms:.2f} a request",
            f"WAL: {ours[-1].wal_kb:.1f} kB against {bare[-1].wal_kb:.1f} a request",
        ],
    )


def main() -> None:
    parser = program.parser(__doc__, "p5", rounds=6)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=6.0, help="of one round")
    parser.add_argument("--statements", action="store_true", help="print our most expensive SQL statements")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
