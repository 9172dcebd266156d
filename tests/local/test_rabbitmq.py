"""A RabbitMQ node of the tests' own, where RabbitMQ is installed."""

import os

import kombu
import psutil
import pytest

from local import rabbitmq
from local.rabbitmq import RabbitMQ


@pytest.fixture
def node(server_folder):
    if rabbitmq.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("rabbitmq-server is not installed, and CI must prove the acceptance on RabbitMQ")
        pytest.skip("rabbitmq-server is not installed")
    node = RabbitMQ(server_folder)
    node.start()
    yield node
    node.end()


def test_the_node_takes_a_confirmed_message_on_loopback_and_ends(node):
    with kombu.Connection(node.url(), transport_options={"confirm_publish": True}) as connection:
        queue = connection.SimpleQueue(
            kombu.Queue("told", routing_key="told", queue_arguments={"x-queue-type": "quorum"})
        )
        queue.put({"told": True})
        message = queue.get(timeout=10)
        assert message.payload == {"told": True}
        message.ack()
    processes = [child for program in node.programs for child in psutil.Process(program.pid).children(recursive=True)]
    processes += [psutil.Process(program.pid) for program in node.programs]
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening - {"::1"} == {"127.0.0.1"}

    node.end()

    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
