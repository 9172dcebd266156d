"""P7: POST /orders while a million delivered messages are purged, against without. Run with `--help`.

The purge is the service's own (`outbox.operations.purge`), in a process of its own. Closed loops of the same length
alternate, without and with it, until it has deleted a million; a lock that somebody waits for longer than 100 ms is
told by the server itself (`log_lock_waits`), and read from its log.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg

from benchmarks import growth, program
from benchmarks.criterion import Rounds, judge
from benchmarks.load import Requests, closed_loop
from benchmarks.p5 import OUR_BODY, WARM_UP_SECONDS
from benchmarks.place import Place, place
from benchmarks.report import Report
from local.folder import PROJECT_DIR

LONGEST_WAIT = "100ms"
WAITED = "still waiting for"
# Says when it begins, so that starting Django is no part of a round; ends with the round.
PURGE = """
import django; django.setup()
from outbox import operations
print("ready", flush=True); input()
print("purging", flush=True)
operations.purge()
print("purged", flush=True)
"""
BARE_PURGE = """
DELETE FROM outbox_outboxmessage WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM outbox_outboxmessage WHERE state = 'done' LIMIT 10000))
"""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One closed loop; `purged` messages went meanwhile, in so many seconds."""

    per_second: float
    waits: int
    purged: int = 0
    seconds: float = 0.0


@contextmanager
def purging(here: Place) -> Iterator[None]:
    """The purge at work until the block ends."""
    import os

    child = subprocess.Popen(
        [sys.executable, "-c", PURGE],
        env={**os.environ, **here.environment},
        cwd=PROJECT_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin
    assert child.stdout
    child.stdout.readline()
    child.stdin.write("\n")
    child.stdin.flush()
    child.stdout.readline()
    try:
        yield
    finally:
        child.terminate()
        child.wait()


def one_round(
    here: Place, connection: psycopg.Connection[Any], requests: Requests, options: argparse.Namespace, *, purge: bool
) -> Round:
    connection.execute("CHECKPOINT")
    logged, left = waits(here), delivered(connection)
    if not purge:
        found = closed_loop(requests, clients=options.clients, seconds=options.seconds)
        return told(Round(per_second=found.per_second, waits=waits(here) - logged))
    with purging(here):
        began = monotonic()
        found = closed_loop(requests, clients=options.clients, seconds=options.seconds)
        seconds = monotonic() - began
    return told(
        Round(
            per_second=found.per_second,
            waits=waits(here) - logged,
            purged=left - delivered(connection),
            seconds=seconds,
        )
    )


def told(one: Round) -> Round:
    beside = f", {one.purged:,} messages purged" if one.purged else ""
    print(f"  {one.per_second:6,.0f} requests/s, {one.waits} waits over {LONGEST_WAIT}{beside}", flush=True)
    return one


def waits(here: Place) -> int:
    """How often somebody waited for a lock too long, so far."""
    return here.postgres.log.read_text(errors="replace").count(WAITED)


def delivered(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM outbox_outboxmessage WHERE state = 'done'").fetchone()
    return int(row[0]) if row else 0


def bare_rate(connection: psycopg.Connection[Any]) -> float:
    """Messages a second that bare DELETEs of ten thousand remove, with nothing else going on."""
    began, gone = monotonic(), 0
    while monotonic() - began < 3:
        gone += connection.execute(BARE_PURGE).rowcount
    return gone / (monotonic() - began)


def watch_locks(connection: psycopg.Connection[Any]) -> None:
    connection.execute(f"ALTER SYSTEM SET deadlock_timeout = '{LONGEST_WAIT}'")
    connection.execute("ALTER SYSTEM SET log_lock_waits = on")
    connection.execute("SELECT pg_reload_conf()")


def measure(options: argparse.Namespace) -> Report:
    rounds: dict[bool, list[Round]] = {False: [], True: []}
    with place() as here, here.connect() as connection:
        here.use_django()
        from local.seed import seed_demo  # only now does the environment name the database

        token = seed_demo(here.folder)["tokens"]["customer"]
        # What a purge leaves for the last is older than the retention too.
        growth.fill(here.connect, options.delivered + options.delivered // 2)
        watch_locks(connection)
        here.stack.start("web")
        here.stack.wait_until_ready("web")
        requests = Requests(port=here.stack.web_port, path="/orders", token=token, body=OUR_BODY, keyed=True)
        closed_loop(requests, clients=options.clients, seconds=WARM_UP_SECONDS)
        while len(rounds[True]) < options.rounds or sum(one.purged for one in rounds[True]) < options.delivered:
            for purge, found in rounds.items():
                found.append(one_round(here, connection, requests, options, purge=purge))
        bare = bare_rate(connection)
    return report(rounds[False], rounds[True], bare)


def report(alone: list[Round], beside: list[Round], bare: float) -> Report:
    purged, seconds = sum(one.purged for one in beside), sum(one.seconds for one in beside)
    return Report(
        target="p7",
        title=f"POST /orders while {purged:,} delivered messages are purged, against without",
        criteria=[
            judge(
                "intake: during a purge : without",
                Rounds(
                    unit="requests/s",
                    ours=[one.per_second for one in beside],
                    theirs=[one.per_second for one in alone],
                    peer="no purge",
                ),
                at_least=0.8,
            ),
            judge(
                "waits for a lock over 100 ms during a purge",
                Rounds(unit="waits a round", ours=[one.waits for one in beside]),
                at_most=0,
            ),
        ],
        notes=[
            f"purged beside intake: {purged / seconds:,.0f} messages/s, a million in {1e6 / purged * seconds:.0f} s; "
            f"bare DELETEs of ten thousand, with nothing else going on: {bare:,.0f} messages/s",
            f"waits for a lock over 100 ms without a purge: {sum(one.waits for one in alone)}",
        ],
    )


def main() -> None:
    parser = program.parser(__doc__, "p7", rounds=4)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0, help="of one round")
    parser.add_argument("--delivered", type=int, default=1_000_000, help="to be purged")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
