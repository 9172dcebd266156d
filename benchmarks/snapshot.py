"""F19: what an analytic transaction costs that stays open for the whole run. Run with `--help`.

Two ways out of the outbox: the relay's (claim, send to a transport that takes everything, finish) and a worker's
(claim, then finish and inbox row in one transaction with an effect that does nothing). A round publishes and drains
wave after wave, every other round under a REPEATABLE READ snapshot that is older than the first message: no version of
a row that the round makes dead can be removed, while claims look for what is open. Target: 0.8 of the rate without it.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.figures import ratio, spread
from benchmarks.place import Place, place, print_statements, settle

DESTINATION = "bench.destination"
TYPE = "bench.told.v1"
TARGET = 0.8
EMPTY = "TRUNCATE outbox_outboxmessage, outbox_inboxmessage"
PUBLISH = """
INSERT INTO outbox_outboxmessage
  (key, message_id, destination, type, aggregate_type, aggregate_id, order_free, correlation_id, payload, headers,
   state, attempts, epoch, last_error)
SELECT id, id, %s, %s, 'bench', gen_random_uuid(), false, gen_random_uuid(), '{"text": "nothing"}', '{}',
       'open', 0, 0, ''
FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %s)) AS new
"""


def relay_turn() -> int:
    """Claims, sends and finishes one batch for a destination outside."""
    from outbox import relay
    from outbox.routing import Outside

    return relay.send_due(Outside(name=DESTINATION, backend="", patterns=("*",)), Everything())


class Everything:
    """A transport that confirms at once."""

    def send(self, messages: Sequence[Any]) -> list[Any]:
        return [None] * len(messages)

    def close(self) -> None:
        """Nothing is open."""


def worker_turn() -> int:
    """Claims and handles one batch for a destination inside."""
    from outbox import consumer
    from outbox.routing import Inside

    run = consumer.local(lambda messages: None)
    return run(Inside(name=DESTINATION, queue="default", types=frozenset({TYPE}), run=run))


@contextmanager
def snapshot(here: Place, *, is_open: bool) -> Iterator[None]:
    """The report that somebody forgot to end."""
    if not is_open:
        yield
        return
    with psycopg.connect(here.postgres.url(here.environment["DATABASE_URL"].rpartition("/")[2])) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.execute("SELECT count(*) FROM outbox_outboxmessage")
        yield
        session.rollback()


def one_round(
    here: Place,
    connection: psycopg.Connection[Any],
    turn: Callable[[], int],
    options: argparse.Namespace,
    *,
    is_open: bool,
) -> float:
    """Messages per second, publishing not counted."""
    connection.execute(EMPTY)
    settle(connection)
    spent = 0.0
    with snapshot(here, is_open=is_open):
        for _ in range(options.waves):
            connection.execute(PUBLISH, [DESTINATION, TYPE, options.messages])
            began = perf_counter()
            while turn():
                pass
            spent += perf_counter() - began
    left = connection.execute("SELECT count(*) FROM outbox_outboxmessage WHERE state <> 'done'").fetchone()
    if left != (0,):
        raise SystemExit(f"{left} messages were left behind.")
    return float(options.waves * options.messages / spent)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.snapshot", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=4_000, help="of one wave")
    parser.add_argument("--waves", type=int, default=5, help="of one round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--statements", action="store_true", help="print the most expensive SQL of each round")
    options = parser.parse_args()
    with place() as here, here.connect() as connection:
        here.use_django()
        for name, turn in {"relay": relay_turn, "worker": worker_turn}.items():
            rates: dict[bool, list[float]] = {False: [], True: []}
            for number in range(options.rounds):
                for is_open in (False, True):
                    rate = one_round(here, connection, turn, options, is_open=is_open)
                    rates[is_open].append(rate)
                    print(f"  {name:7} {'snapshot' if is_open else 'alone':9} {rate:8,.0f} messages/s", flush=True)
                    if options.statements and number == options.rounds - 1:
                        print_statements(connection, limit=4)
            print(f"F19 {name}: alone {spread(rates[False])}, under a snapshot {spread(rates[True])} messages/s")
            print(f"F19 {name}: under a snapshot : alone = {ratio(rates[True], rates[False])}, target {TARGET}\n")


if __name__ == "__main__":
    main()
