"""P5: POST /orders against a bare REST framework view that saves an order and its lines. Run with `--help`.

Both behind the same gunicorn (two processes of threads, a pool), middleware, token authentication and Postgres; ours
adds the key's claim, server-side prices, strict parsing, the outbox row and the stored answer. Nothing else runs: what
happens to the orders afterwards is measured elsewhere. Rounds alternate; the clients share the processors with the web.
"""

import argparse
from statistics import median
from typing import Any

import psycopg

from benchmarks.figures import ratio, spread
from benchmarks.load import Found, Requests, closed_loop
from benchmarks.place import Place, cpu_seconds, place, print_statements, round_trips, settle, wal_position

LINES = [("WIDGET", 3, 999), ("GADGET", 1, 2_450), ("CABLE", 2, 450)]
OUR_BODY: dict[str, object] = {"currency": "EUR", "items": [{"sku": sku, "quantity": n} for sku, n, _ in LINES]}
BARE_BODY: dict[str, object] = {
    "currency": "EUR",
    "items": [{"sku": sku, "quantity": n, "unit_price_minor": price} for sku, n, price in LINES],
}
WARM_UP_SECONDS = 2.0


def requests_of(here: Place, token: str) -> dict[str, Requests]:
    port = here.stack.web_port
    return {
        "ours": Requests(port=port, path="/orders", token=token, body=OUR_BODY, keyed=True),
        "bare": Requests(port=port, path="/bare/orders", token=token, body=BARE_BODY, keyed=False),
    }


def one_round(
    here: Place, connection: psycopg.Connection[Any], requests: Requests, options: argparse.Namespace
) -> tuple[float, float]:
    """Requests per second, and milliseconds of CPU (web and Postgres) per request."""
    settle(connection)
    pids = [pid for pid in (here.stack.programs["web"].pid, here.postgres_pid()) if pid]
    wal, trips, cpu = wal_position(connection), round_trips(connection), cpu_seconds(pids)
    found: Found = closed_loop(requests, clients=options.clients, seconds=options.seconds)
    cpu_ms = (cpu_seconds(pids) - cpu) * 1000 / found.count
    print(
        f"  {requests.path:12} {found.per_second:6,.0f} requests/s, {cpu_ms:.2f} ms of CPU, "
        f"{(round_trips(connection) - trips) / found.count:.2f} round trips, "
        f"{(wal_position(connection) - wal) / found.count / 1000:.1f} kB of WAL per request",
        flush=True,
    )
    return found.per_second, cpu_ms


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.p5", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=6.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
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
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, requests in sides.items():
                rounds[name].append(one_round(here, connection, requests, options))
                if name == "ours" and len(rounds[name]) == options.rounds:
                    print_statements(connection)
        report(rounds)


def report(rounds: dict[str, list[tuple[float, float]]]) -> None:
    rates = {name: [rate for rate, _ in found] for name, found in rounds.items()}
    costs = {name: [cost for _, cost in found] for name, found in rounds.items()}
    print("\nP5  medians of rounds (lowest–highest)")
    for name, found in rates.items():
        print(f"  {name:5} {spread(found)} requests/s, {median(costs[name]):.2f} ms of CPU each")
    print(f"  ours : bare = {ratio(rates['ours'], rates['bare'])} by the clock")
    print(f"  bare : ours = {ratio(costs['bare'], costs['ours'])} in milliseconds of CPU per request")


if __name__ == "__main__":
    main()
