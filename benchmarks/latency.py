"""Latency of one order on an idle system: from before POST to confirmed, and where the time goes. No bar to reach.

All processes of the service, the sandbox answering at once, orders one after another. Times of one machine's clock:
the client's, and Postgres's as they stand in the rows.
"""

import argparse
import json
import socket
import time
from datetime import datetime
from typing import Any

import psycopg

from benchmarks import program
from benchmarks.figures import percentile
from benchmarks.load import Requests, read_answer
from benchmarks.place import place
from benchmarks.report import Report

BODY: dict[str, object] = {"sku": "WIDGET", "quantity": 1}
WARM_UP = 5
# The primary key of the order, and the unique (name, subject_id) of its saga.
ENDED = "SELECT ended_at FROM orders_order WHERE id = %s AND status = 'confirmed'"
STORY = """
SELECT o.placed_at, g.started_at, o.ended_at, s.started_at, s.finished_at, s.name
FROM orders_order o JOIN sagas_saga g ON g.name = 'fulfil_order' AND g.subject_id = o.id
JOIN sagas_sagastep s ON s.saga_id = g.id WHERE o.id = %s ORDER BY s.position
"""
LOOK_SECONDS = 0.002
GIVE_UP_SECONDS = 30


def travel(web: socket.socket, rows: psycopg.Connection[Any], requests: Requests) -> dict[str, float]:
    """Places one order; milliseconds by stage, in the order of the journey."""
    began = time.time()
    web.sendall(requests.bytes_of_one())
    _, body = read_answer(web)
    answered = time.time()
    order_id = json.loads(body)["id"]
    while rows.execute(ENDED, [order_id]).fetchone() is None:
        if time.time() - answered > GIVE_UP_SECONDS:
            raise SystemExit(f"Order {order_id} is not confirmed after {GIVE_UP_SECONDS} s.")
        time.sleep(LOOK_SECONDS)
    seen = time.time()
    return stages(began, answered, seen, rows.execute(STORY, [order_id]).fetchall())


def stages(began: float, answered: float, seen: float, story: list[tuple[Any, ...]]) -> dict[str, float]:
    found = {"POST answered": answered - began}
    _placed, saga_started, ended = story[0][:3]
    found["answer → saga started (relay, ring, claim)"] = saga_started.timestamp() - answered
    before: datetime = saga_started
    for *_, started, finished, name in story:
        found[f"→ {name} begun (commit, ring, claim)"] = (started - before).total_seconds()
        found[f"  {name} at work"] = (finished - started).total_seconds()
        before = finished
    found["last statement → seen confirmed"] = seen - ended.timestamp()
    found["in all"] = seen - began
    return {stage: seconds * 1000 for stage, seconds in found.items()}


def measure(options: argparse.Namespace) -> Report:
    with place() as here, here.connect() as rows:
        here.use_django()
        from local.seed import seed_demo  # only now does the environment name the database

        token = seed_demo(here.folder)["tokens"]["customer"]
        here.stack.start()
        here.stack.wait_until_ready()
        requests = Requests(port=here.stack.web_port, path="/orders", token=token, body=BODY, keyed=True)
        found = []
        for number in range(WARM_UP + options.orders):
            # A connection each: gunicorn closes one that idles.
            with socket.create_connection(("127.0.0.1", here.stack.web_port), timeout=30) as web:
                journey = travel(web, rows, requests)
            if number >= WARM_UP:
                found.append(journey)
    return report(found)


def report(found: list[dict[str, float]]) -> Report:
    return Report(
        target="latency",
        title=f"{len(found)} orders, one at a time: milliseconds from before POST to confirmed",
        criteria=[],
        tables={"by_stage": [row(stage, [journey[stage] for journey in found]) for stage in found[0]]},
        notes=["percentiles of each stage by itself: a column does not add up"],
    )


def row(stage: str, values: list[float]) -> dict[str, Any]:
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    found = {name: round(percentile(values, share), 1) for name, share in shares.items()}
    return {"stage": stage, **found, "max_ms": round(max(values), 1)}


def main() -> None:
    parser = program.parser(__doc__, "latency", rounds=1)
    parser.add_argument("--orders", type=int, default=500)
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
