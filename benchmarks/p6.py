"""P6: the relay's rate with five million delivered messages in the outbox, against an empty one. Run with `--help`.

Two databases of one server, alike but for the delivered messages. A round publishes what is due in both, untimed, and
drains them by turns of the relay's own way out (claim, a transport that confirms at once, finish), twenty here and
twenty there. Beside the rates: what one claim touches (EXPLAIN of the very statement), and its time by size.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import growth, plan, program
from benchmarks.criterion import Limit, Rounds, judge
from benchmarks.place import OURS, Place, place, settle
from benchmarks.report import Report
from benchmarks.snapshot import relay_turn

GROWN = "bench_grown"
BOTH = (GROWN, OURS)
TURNS = 20
CLAIMS_TIMED = 30
STEPS = (100_000, 1_000_000)
# The fewest statements that hand out a message once: one to claim a batch, one to finish it; no order, no errors.
BARE_CLAIM = """
UPDATE outbox_outboxmessage SET attempts = attempts + 1, epoch = epoch + 1, due_at = now() + interval '30 seconds'
WHERE key IN (SELECT key FROM outbox_outboxmessage WHERE destination = %s AND state = 'open' AND due_at <= now()
              ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING key, payload
"""
BARE_FINISH = "UPDATE outbox_outboxmessage SET state = 'done', finished_at = now() WHERE key = ANY(%s) AND epoch = 1"
_connections: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Drained:
    """How a round went, and the plan of a claim at its beginning."""

    per_second: float
    claim: plan.Plan


def use(database: str) -> None:
    """Django's connection is the one to this database from now on."""
    from django.db import connections  # here and below: only once the environment names the settings

    if database not in _connections:
        _connections[database] = connections.create_connection("default")
        _connections[database].settings_dict = {**connections.settings["default"], "NAME": database}
    connections["default"] = _connections[database]


def one_round(here: Place, due: int) -> dict[str, Drained]:
    """So many messages out of each database, by turns."""
    claims, spent = {}, dict.fromkeys(BOTH, 0.0)
    for database in BOTH:
        with here.connect(database) as connection:
            growth.publish(connection, due)
            settle(connection)
        claims[database] = plan_of_a_claim(database)
    left = set(BOTH)
    while left:
        for database in sorted(left):
            began = perf_counter()
            claimed = slice_of_turns(database)
            spent[database] += perf_counter() - began
            if not claimed:
                left.remove(database)
    for database in BOTH:
        assert_nothing_is_left(here, database)
    found = {name: Drained(per_second=due / spent[name], claim=claims[name]) for name in BOTH}
    for name, one in found.items():
        print(f"  {name:12} {one.per_second:8,.0f} messages/s, {one.claim.buffers:,} buffers a claim", flush=True)
    return found


def slice_of_turns(database: str) -> int:
    use(database)
    return sum(relay_turn() for _ in range(TURNS))


def plan_of_a_claim(database: str) -> plan.Plan:
    use(database)
    claim = next(statement for statement in plan.caught(relay_turn) if "SKIP LOCKED" in statement[0])
    plan.explain(*claim)  # reads from disk what nobody has read before
    return plan.explain(*claim)


def drain_bare(here: Place, due: int) -> float:
    """Messages per second with the fewest statements, through psycopg alone, in an empty table."""
    empty(here)
    with here.connect() as connection:
        growth.publish(connection, due)
        settle(connection)
        began = perf_counter()
        while rows := connection.execute(BARE_CLAIM, [growth.DESTINATION]).fetchall():
            connection.execute(BARE_FINISH, [[key for key, _ in rows]])
        spent = perf_counter() - began
    assert_nothing_is_left(here, OURS)
    return due / spent


def assert_nothing_is_left(here: Place, database: str) -> None:
    with here.connect(database) as connection:
        left = connection.execute("SELECT count(*) FROM outbox_outboxmessage WHERE state = 'open'").fetchone()
    if left != (0,):
        raise SystemExit(f"{left} messages were left behind.")


def empty(here: Place) -> None:
    with here.connect() as connection:
        connection.execute("TRUNCATE outbox_outboxmessage, outbox_inboxmessage")


def claim_milliseconds(here: Place) -> float:
    """The median time of a claim of a full batch in the grown database, as it is now, alone on the server."""
    use(GROWN)
    with here.connect(GROWN) as connection:
        growth.publish(connection, CLAIMS_TIMED * 100)
        settle(connection)
        times: list[float] = []
        with django_connection().execute_wrapper(partial(_clock, times)):
            while relay_turn():
                pass
    return median(times[:CLAIMS_TIMED])


def _clock(times: list[float], execute: Any, sql: str, *rest: Any) -> Any:
    began = perf_counter()
    result = execute(sql, *rest)
    if "SKIP LOCKED" in sql:
        times.append((perf_counter() - began) * 1000)
    return result


def django_connection() -> Any:
    from django.db import connection

    return connection


def grow(here: Place, delivered: int) -> list[dict[str, float]]:
    """Fills the grown database step by step; the time of one claim at each size."""
    points = [{"rows": 0.0, "milliseconds": claim_milliseconds(here)}]
    size = 0
    for step in sorted({*(size for size in STEPS if size < delivered), delivered}):
        began = perf_counter()
        growth.fill(lambda: here.connect(GROWN), step - size)
        size = step
        filled = perf_counter() - began
        points.append({"rows": float(size), "milliseconds": claim_milliseconds(here)})
        print(f"  {size:9,} delivered ({filled:.0f} s): {points[-1]['milliseconds']:.2f} ms a claim", flush=True)
    return points


def measure(options: argparse.Namespace) -> Report:
    with place() as here:
        here.use_django()
        with here.connect("postgres") as server:
            server.execute(f"DROP DATABASE IF EXISTS {GROWN} WITH (FORCE)")
            server.execute(f"CREATE DATABASE {GROWN} TEMPLATE {OURS}")
        points = grow(here, options.delivered)
        rounds = []
        for _ in range(options.rounds):
            empty(here)
            rounds.append(one_round(here, options.due))
        bare = drain_bare(here, options.due)
    return report(options, rounds, points=points, bare=bare)


def report(
    options: argparse.Namespace, rounds: list[dict[str, Drained]], *, points: list[dict[str, float]], bare: float
) -> Report:
    grown, small = ([one[database] for one in rounds] for database in BOTH)
    return Report(
        target="p6",
        title=f"the relay with {options.due:,} due among {options.delivered:,} delivered, against an empty table",
        criteria=[
            judge(
                "relay rate: grown : empty",
                Rounds(
                    unit="messages/s",
                    ours=[one.per_second for one in grown],
                    theirs=[one.per_second for one in small],
                    peer="empty table",
                ),
                at_least=0.8,
                limit=Limit(what="claim and finish in two bare statements a hundred", figure=bare),
            ),
            judge(
                "buffers of one claim: grown : empty",
                Rounds(
                    unit="shared buffers",
                    ours=[one.claim.buffers for one in grown],
                    theirs=[one.claim.buffers for one in small],
                    peer="empty table",
                ),
                at_most=1.5,
            ),
            judge(
                "scans of the whole table in a claim",
                Rounds(
                    unit="sequential scans", ours=[len(one.claim.whole_scans("outbox_outboxmessage")) for one in grown]
                ),
                at_most=0,
            ),
        ],
        series={"claim_by_size": points},
        notes=["the claim in the grown table:", *(f"  {line}" for line in grown[-1].claim.lines())],
    )


def main() -> None:
    parser = program.parser(__doc__, "p6", rounds=3)
    parser.add_argument("--delivered", type=int, default=5_000_000)
    parser.add_argument("--due", type=int, default=100_000)
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
