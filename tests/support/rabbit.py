"""A RabbitMQ node shared by the tests of one worker, and an independent client: plain py-amqp, no code of ours.

Without rabbitmq-server those tests are skipped, and fail in CI.
"""

import json
import os
import shutil
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import amqp
import pytest

from local import ports, rabbitmq
from local.folder import Folder
from local.rabbitmq import RabbitMQ
from local.unprivileged import home_for

# Below what publish() takes (131,072), so that a test has a message that the broker never takes.
MAX_MESSAGE_BYTES = 100_000
SELF_SIGNED = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
    *("-days", "2", "-subj", "/CN=rabbit", "-addext", "subjectAltName=IP:127.0.0.1"),
)
# Every test on the shared node: in one worker of pytest-xdist, so that one node is enough.
ON_ONE_NODE = pytest.mark.xdist_group("rabbitmq")


def node_or_skip(folder: Folder) -> RabbitMQ:
    if rabbitmq.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("rabbitmq-server is not installed, and CI must prove what is sent to RabbitMQ")
        pytest.skip("rabbitmq-server is not installed")
    return RabbitMQ(folder, configuration=[f"max_message_size = {MAX_MESSAGE_BYTES}"])


@dataclass(frozen=True)
class Encrypted:
    """The shared node's other entrance; its certificate is its own authority and names 127.0.0.1 only."""

    url: str
    certificate: Path


@pytest.fixture(scope="session")
def rabbit_tls(rabbit_node):
    return rabbit_node.encrypted


def _encrypt(node: RabbitMQ) -> None:
    node.folder.make()
    certificate, key = (node.folder.path / name for name in ("certificate.pem", "key.pem"))
    subprocess.run(
        [*SELF_SIGNED, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    port = ports.choose(node.folder, "rabbitmq-tls")
    node.configuration = [
        *node.configuration,
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {key}",
    ]
    node.encrypted = Encrypted(f"amqps://guest:guest@127.0.0.1:{port}//", certificate)


@pytest.fixture(scope="session")
def rabbit_node(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("rabbit"))
    node = node_or_skip(folder)
    _encrypt(node)
    try:
        node.start()
        yield node
    finally:
        node.end()
        shutil.rmtree(home_for(folder.path), ignore_errors=True)


@pytest.fixture
def subscriber(rabbit_node):
    """Queues of one test on an exchange of its own."""
    with closing(Subscriber(rabbit_node.url())) as made:
        yield made


class Subscriber:
    """Somebody else's consumer: declares an exchange and a quorum queue, and reads what arrives."""

    def __init__(self, url: str, *, exchange: str = "", patterns: tuple[str, ...] = ("test.#",)) -> None:
        address = urlsplit(url)
        self.url = url
        self.exchange = exchange or f"test.{uuid4()}"
        self.queue = f"{self.exchange}.q"
        self.connection = amqp.Connection(f"{address.hostname}:{address.port}")
        self.connection.connect()
        self.channel = self.connection.channel()
        self.channel.exchange_declare(self.exchange, "topic", durable=True, auto_delete=False)
        self.declare(self.queue, patterns)

    def declare(self, queue, patterns, **arguments):
        given = {
            "x-queue-type": "quorum",
            **{f"x-{name.replace('_', '-')}": value for name, value in arguments.items()},
        }
        self.channel.queue_declare(queue, durable=True, auto_delete=False, arguments=given)
        for pattern in patterns:
            self.channel.queue_bind(queue, self.exchange, pattern)

    def messages(self, queue=""):
        """Everything that waits there, taken off."""
        found = []
        while message := self.channel.basic_get(queue or self.queue, no_ack=True):
            found.append(message)
        return found

    def events(self):
        return [json.loads(message.body) for message in self.messages()]

    def close(self):
        self.connection.close()
