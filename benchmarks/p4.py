"""P4: from commit to the broker on an idle system, against a bare NOTIFY round trip in the same run. Run with `--help`.

One message at a time, published by `outbox.publisher` in a transaction of this process, whose wake-up thread tells a
real relay; handed over is when a reader that blocks on the broker has it: for a destination inside the ring on the
Celery queue's list, for one outside the message itself. After each, one NOTIFY from a session to another that listens.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, sleep
from typing import Any

import psycopg
import redis
import uuid_utils.compat as uuid_utils

from benchmarks import program
from benchmarks.criterion import Rounds, judge
from benchmarks.figures import percentile
from benchmarks.place import Place, place
from benchmarks.report import Report
from benchmarks.transports import OUTSIDE, SWITCH

QUEUE = "steps"
WARM_UP = 10
PATIENCE_SECONDS = 10
# Between two messages everything is at rest again; never the same, so that no rhythm of ours is measured.
GAP_SECONDS = (0.03, 0.06)


@dataclass(kw_only=True)
class Round:
    """Milliseconds of each message, inside and outside, and of each bare NOTIFY."""

    inside: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bare:
    """Two sessions: one listens, one notifies."""

    listens: psycopg.Connection[Any]
    notifies: psycopg.Connection[Any]

    def milliseconds(self) -> float:
        began = perf_counter()
        self.notifies.execute("NOTIFY bench_bare")
        assert list(self.listens.notifies(timeout=PATIENCE_SECONDS, stop_after=1))
        return (perf_counter() - began) * 1000


@contextmanager
def bare_sessions(here: Place) -> Iterator[Bare]:
    with here.connect() as listens, here.connect() as notifies:
        listens.execute("LISTEN bench_bare")
        yield Bare(listens, notifies)


def handed_over(broker: redis.Redis, key: str, publish: Callable[[], None]) -> float:
    """Milliseconds from the commit of what is published to the moment when a blocked reader has it."""
    from django.db import transaction  # here and below: only once the environment names the settings

    committed: list[float] = []
    with transaction.atomic():
        # Before the publisher's own: called at once when the commit is done.
        transaction.on_commit(lambda: committed.append(perf_counter()))
        publish()
    if broker.blpop([key], timeout=PATIENCE_SECONDS) is None:
        raise SystemExit(f"Nothing was handed over to {key} within {PATIENCE_SECONDS} s.")
    return (perf_counter() - committed[0]) * 1000


def command() -> None:
    """One message for a destination inside."""
    from benchmarks.sagas import FOUR_STEPS
    from outbox.publisher import Command, publish_commands

    identity = uuid_utils.uuid7()
    publish_commands(
        [
            Command(
                destination=f"{FOUR_STEPS}.step_1",
                type="bench.told.v1",
                aggregate_type="saga",
                aggregate_id=identity,
                correlation_id=identity,
            )
        ]
    )


def event() -> None:
    """One message for a destination outside."""
    from benchmarks.transports import Told
    from outbox.publisher import publish

    identity = uuid_utils.uuid7()
    publish(Told(text="nothing"), aggregate_id=identity, sequence=1, correlation_id=identity)


def answer() -> None:
    """As a worker does: the ring is taken off, what is due is claimed and finished."""
    from benchmarks.sagas import FOUR_STEPS
    from outbox import bell
    from outbox.models import OutboxMessage

    name = f"{FOUR_STEPS}.step_1"
    bell.answered(name)
    rows = OutboxMessage.objects.all()
    claimed = rows.filter(destination=name, state="open").values_list("key", flat=True)
    rows.filter(key__in=list(claimed)).delete()


def one_round(broker: redis.Redis, bare: Bare, samples: int) -> Round:
    found = Round()
    for _ in range(samples):
        found.inside.append(handed_over(broker, QUEUE, command))
        answer()
        rest()
        found.outside.append(handed_over(broker, OUTSIDE, event))
        rest()
        found.bare.append(bare.milliseconds())
        rest()
    return found


def rest() -> None:
    sleep(random.uniform(*GAP_SECONDS))


def measure(options: argparse.Namespace) -> Report:
    with place() as here, bare_sessions(here) as bare:
        here.environment[SWITCH] = here.valkey.url()
        here.use_django()
        here.stack.start("relay")
        here.stack.wait_until_ready("relay")
        broker = redis.Redis.from_url(here.valkey.url())
        one_round(broker, bare, WARM_UP)
        rounds = []
        for _ in range(options.rounds):
            rounds.append(one_round(broker, bare, options.samples))
            print("  " + ", ".join(f"{name} {spread(ms)}" for name, ms in vars(rounds[-1]).items()), flush=True)
    return report(rounds)


def spread(milliseconds: list[float]) -> str:
    p50, p99 = median(milliseconds), percentile(milliseconds, 0.99)
    return f"{p50:.2f} ms (p99 {p99:.2f}, max {max(milliseconds):.2f})"


def report(rounds: list[Round]) -> Report:
    bare = [median(one.bare) for one in rounds]
    peer = "median of a bare NOTIFY"
    criteria = [
        judge(
            f"commit → {where}, {name}",
            Rounds(unit="ms", ours=[of(getattr(one, side)) for one in rounds], theirs=bare, peer=peer),
            at_most=most,
        )
        for side, where in (("inside", "ring at the broker"), ("outside", "message at a broker outside"))
        for name, of, most in (("p50", median, 60), ("p99", lambda ms: percentile(ms, 0.99), 300))
    ]
    together = {side: [ms for one in rounds for ms in getattr(one, side)] for side in ("inside", "outside", "bare")}
    return Report(
        target="p4",
        title="commit → handed to the broker on an idle system, against a bare NOTIFY round trip",
        criteria=criteria,
        notes=[f"{side}, {len(ms)} samples: {spread(ms)}" for side, ms in together.items()],
    )


def main() -> None:
    parser = program.parser(__doc__, "p4", rounds=5)
    parser.add_argument("--samples", type=int, default=110, help="of one round, for each side")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
