"""P3: the relay to RabbitMQ with confirms and each order's sequence, against django-outbox-pattern. Run with `--help`.

Both send the same bodies from rows of one Postgres to one quorum queue of one RabbitMQ, one process each. Ours claims,
publishes persistent and mandatory, waits for each batch's confirms and finishes; the peer publishes over STOMP and
updates row by row, without confirms and without order. Making the rows is not timed. Rounds alternate; after each one
the queue holds exactly what was published, and after our last one each order's events by their sequence.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import psycopg

from benchmarks import peers, program
from benchmarks.criterion import Limit, Rounds, judge
from benchmarks.place import Place, cpu_seconds, place, print_statements, round_trips, settle
from benchmarks.rabbit import PEER, Broker, Peer, broker
from benchmarks.report import Report

PEER_NAME = "django-outbox-pattern"
BATCHES = (10, 50, 100, 200, 500)
WARM_UP_ROWS = 500

# Two events per order, the second behind all the first ones: no batch finds its rows in their order by luck.
ORDERS = """
SELECT n, ('00000000-0000-7000-8000-' || lpad(to_hex(n %% (%(rows)s / 2)), 12, '0'))::uuid
       AS order_id, 1 + n / (%(rows)s / 2) AS sequence
FROM generate_series(0, %(rows)s - 1) n ORDER BY n
"""
PAYLOAD = """
jsonb_build_object('orderId', order_id, 'customerId', '1', 'totalAmount', '32.48', 'currency', 'EUR',
                   'items', '[{"productId": "WIDGET", "qty": 3}, {"productId": "GADGET", "qty": 1}]'::jsonb)
"""
OUR_ROWS = f"""
INSERT INTO outbox_outboxmessage (key, message_id, destination, type, aggregate_type, aggregate_id, sequence,
    order_free, correlation_id, payload, headers, state, attempts, epoch, last_error)
SELECT uuidv7(), uuidv7(), 'rabbitmq', 'order.created.v1', 'order', order_id, sequence, false, order_id, {PAYLOAD},
       '{{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}', 'open', 0, 0, ''
FROM ({ORDERS}) AS made
"""
THEIR_ROWS = f"""
INSERT INTO published (id, version, destination, body, added, expires_at, retry, status, headers)
SELECT gen_random_uuid(), NULL, '/exchange/orders.exchange/order.created.v1',
       jsonb_build_object('eventId', uuidv7(), 'eventType', 'order.created.v1', 'occurredAtUtc', now(), 'payload',
           {PAYLOAD}, 'metadata', jsonb_build_object('traceId', '0af7651916cd43dd8448eb211c80319c', 'correlationId',
           order_id, 'causationId', NULL, 'producer', 'orders', 'schemaVersion', 1, 'aggregateType', 'order',
           'aggregateId', order_id, 'sequence', sequence)),
       now(), now() + interval '1 day', 0, 1, '{{}}'
FROM ({ORDERS}) AS made
"""


@dataclass
class Ours:
    """The relay's own loop for one destination outside, in this process."""

    url: str
    transport: Any = field(init=False)

    def __post_init__(self) -> None:
        from django.conf import settings  # only now does the environment name them

        from outbox.routing import Outside
        from outbox.transports.rabbitmq import RabbitMQTransport

        self.settings = settings
        self.transport = RabbitMQTransport(url=self.url)
        self._destination = Outside(name="rabbitmq", backend="", patterns=("order.created.*",))

    def publish(self) -> float:
        """Everything that is due; seconds."""
        from outbox import heartbeat, relay

        began = time.perf_counter()
        while relay.send_batches(self._destination, self.transport):
            heartbeat.wait(relay.REST_SECONDS)
        return time.perf_counter() - began

    def set_batch(self, size: int) -> None:
        self.settings.OUTBOX["RELAY_BATCH_SIZE"] = size

    def raw(self, messages: list[Any]) -> float:
        """The same bodies through the same confirms, without Postgres; per second."""
        size = self.settings.OUTBOX["RELAY_BATCH_SIZE"]
        began = time.perf_counter()
        for start in range(0, len(messages), size):
            self.transport.send(messages[start : start + size])
        return len(messages) / (time.perf_counter() - began)


@dataclass
class Bench:
    """Both sides, ready; a round of each."""

    here: Place
    at: Broker
    ours: Ours
    peer: Peer
    connection: psycopg.Connection[Any]
    peer_connection: psycopg.Connection[Any]
    cost: dict[str, float] = field(default_factory=dict)

    def our_round(self, rows: int, *, read: bool = False) -> float:
        self.connection.execute("TRUNCATE outbox_outboxmessage")
        self.connection.execute(OUR_ROWS, {"rows": rows})
        settle(self.connection)
        cpu, server = time.process_time(), cpu_seconds([self.here.postgres_pid()])
        seconds = self.ours.publish()
        self.cost = {
            "relay_cpu_us": (time.process_time() - cpu) / rows * 1e6,
            "postgres_cpu_us": (cpu_seconds([self.here.postgres_pid()]) - server) / rows * 1e6,
            "round_trips": round_trips(self.connection) / rows,
        }
        left = self.connection.execute("SELECT count(*) FROM outbox_outboxmessage WHERE state <> 'done'").fetchone()
        if left != (0,):
            raise SystemExit(f"{left} of our rows were left behind.")
        self.at.empty_in_order(expected=rows) if read else self.at.empty(expected=rows)
        return rows / seconds

    def their_round(self, rows: int) -> float:
        self.peer_connection.execute("TRUNCATE published")
        self.peer_connection.execute(THEIR_ROWS, {"rows": rows})
        settle(self.peer_connection)
        seconds = self.peer.publish()
        self.at.empty(expected=rows)
        return rows / seconds


@contextmanager
def bench() -> Iterator[Bench]:
    interpreter = peers.python()  # before Django's environment moves the folder that it lies in
    with ExitStack() as ending:
        here = ending.enter_context(place())
        here.use_django()
        here.fresh_database(PEER)
        at = ending.enter_context(broker(here))
        peer = Peer(here, interpreter, at.stomp_port)
        ending.callback(peer.end)
        connection, peer_connection = here.connect(), here.connect(PEER)
        ending.callback(connection.close)
        ending.callback(peer_connection.close)
        yield Bench(here, at, Ours(at.node.url()), peer, connection, peer_connection)


def measure(options: argparse.Namespace) -> Report:
    ours: list[float] = []
    theirs: list[float] = []
    with bench() as both:
        both.our_round(WARM_UP_ROWS)
        both.their_round(WARM_UP_ROWS)
        for number in range(options.rounds):
            ours.append(both.our_round(options.rows, read=number == options.rounds - 1))
            cost = both.cost
            if options.statements and number == options.rounds - 1:
                print_statements(both.connection, limit=6)
            theirs.append(both.their_round(options.their_rows))
            print(f"  ours {ours[-1]:7,.0f} rows/s {told(cost)}; theirs {theirs[-1]:7,.0f} rows/s", flush=True)
        limit = raw(both, options.rows)
        by_batch = [by_size(both, size, options.rows // 2) for size in BATCHES] if not options.no_series else []
    return report(options, ours, theirs, limit, by_batch, told(cost))


def raw(both: Bench, rows: int) -> float:
    messages = [a_message(number) for number in range(rows)]
    per_second = both.ours.raw(messages)
    both.at.empty(expected=rows)
    return per_second


def by_size(both: Bench, size: int, rows: int) -> dict[str, float]:
    both.ours.set_batch(size)
    point = {"batch": float(size), "per_second": both.our_round(rows)}
    print(f"  batch {size:3}: {point['per_second']:7,.0f} rows/s {told(both.cost)}", flush=True)
    return point


def told(cost: dict[str, float]) -> str:
    return (
        f"({cost['relay_cpu_us']:.0f} + {cost['postgres_cpu_us']:.0f} µs of CPU in relay + Postgres, "
        f"{cost['round_trips']:.3f} round trips a row)"
    )


def a_message(number: int) -> Any:
    """As a claim makes it from one of the rows."""
    from datetime import UTC, datetime

    from outbox.envelope import Message

    order = uuid4()
    items = [{"productId": "WIDGET", "qty": 3}, {"productId": "GADGET", "qty": 1}]
    return Message(
        key=uuid4(),
        message_id=uuid4(),
        destination="rabbitmq",
        type="order.created.v1",
        payload={"orderId": str(order), "customerId": "1", "totalAmount": "32.48", "currency": "EUR", "items": items},
        headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        aggregate_type="order",
        aggregate_id=order,
        sequence=number,
        correlation_id=order,
        attempts=1,
        epoch=1,
        created_at=datetime.now(UTC),
    )


def report(
    options: argparse.Namespace, ours: list[float], theirs: list[float], limit: float, by_batch: Any, cost: str
) -> Report:
    return Report(
        target="p3",
        title="The relay to RabbitMQ, confirmed and in order, against django-outbox-pattern",
        criteria=[
            judge(
                "relay : django-outbox-pattern",
                Rounds(unit="rows/s", ours=ours, theirs=theirs, peer=PEER_NAME),
                at_least=3,
                limit=Limit(what="the same messages through the same confirms, without Postgres", figure=limit),
            )
        ],
        versions={PEER_NAME: "3.2.1", "rabbitmq": "3.10.8", "amqp": version("amqp")},
        series={"relay_by_batch": by_batch},
        notes=[f"ours: {cost}", f"{options.rows:,} rows a round against {options.their_rows:,}; one quorum queue"],
    )


def main() -> None:
    parser = program.parser(__doc__, "p3", rounds=4)
    parser.add_argument("--rows", type=int, default=20_000, help="of ours in one round")
    parser.add_argument("--their-rows", type=int, default=10_000, help="of the peer's")
    parser.add_argument("--no-series", action="store_true", help="leave out the sizes of a batch")
    parser.add_argument("--statements", action="store_true", help="print our most expensive SQL statements")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
