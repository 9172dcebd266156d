"""What P3 needs beside Postgres: a RabbitMQ node that speaks AMQP and STOMP, its queue, and the peer's process.

Guarantees that a round which lost or doubled a message, or broke an order's sequence, ends the benchmark. Not
guaranteed: that the peer's messages were confirmed; it asks for none.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amqp

from benchmarks.place import Place
from local import ports
from local.rabbitmq import RabbitMQ

PEER = "bench_outbox_pattern"
EXCHANGE = "orders.exchange"
QUEUE = "bench.orders.q"
ARRIVAL_SECONDS = 60.0


@dataclass
class Broker:
    """One node with STOMP beside AMQP, and the queue that both sides fill."""

    node: RabbitMQ
    stomp_port: int
    connection: amqp.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = amqp.Connection(f"127.0.0.1:{self.node.port}")
        self.connection.connect()
        self.channel: Any = self.connection.channel()
        self.channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
        self.channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        self.channel.queue_bind(QUEUE, EXCHANGE, "order.created.*")
        self.channel.queue_purge(QUEUE)

    def empty(self, *, expected: int) -> None:
        """Takes everything off; there must be exactly that much, which the peer's may still be on its way to."""
        ends = time.monotonic() + ARRIVAL_SECONDS
        while self.channel.queue_declare(QUEUE, passive=True).message_count < expected and time.monotonic() < ends:
            time.sleep(0.05)
        found = self.channel.queue_purge(QUEUE)
        if found != expected:
            raise SystemExit(f"The queue held {found:,} messages where {expected:,} had been published.")

    def empty_in_order(self, *, expected: int) -> None:
        """The same, read: every order's events by their sequence, each once."""
        seen: dict[str, list[int]] = {}

        def read(message: amqp.Message) -> None:
            told = json.loads(message.body)["metadata"]
            seen.setdefault(told["aggregateId"], []).append(told["sequence"])

        tag = self.channel.basic_consume(QUEUE, no_ack=True, callback=read)
        while sum(map(len, seen.values())) < expected:
            self.connection.drain_events(timeout=ARRIVAL_SECONDS)
        self.channel.basic_cancel(tag)
        if any(sequences != sorted(set(sequences)) for sequences in seen.values()):
            raise SystemExit("An order's events were read out of order, or twice.")


@contextmanager
def broker(here: Place) -> Iterator[Broker]:
    port = ports.choose(here.folder, "stomp")
    # Only AMQP and STOMP, on loopback; the data of the last run would cost time and prove nothing.
    node = RabbitMQ(
        here.folder, configuration=[f"stomp.listeners.tcp.1 = 127.0.0.1:{port}"], plugins=["rabbitmq_stomp"]
    )
    with ExitStack() as ending:
        ending.callback(node.end)
        node.start()
        yield Broker(node, port)


class Peer:
    """The peer's process: it waits between rounds."""

    def __init__(self, here: Place, interpreter: str, stomp_port: int) -> None:
        self._process = subprocess.Popen(
            [interpreter, str(Path(__file__).with_name("outbox_pattern_side.py"))],
            env={
                **os.environ,
                "BENCH_PEER_URL": here.postgres.url(PEER),
                "BENCH_STOMP_PORT": str(stomp_port),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        if self._line() != "ready":
            raise SystemExit("The peer did not start.")

    def publish(self) -> float:
        """Everything that is scheduled; seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer = json.loads(self._line())
        if answer["not_sent"]:
            raise SystemExit(f"The peer did not send {answer['not_sent']} messages.")
        return float(answer["seconds"])

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
