"""F15: a retry storm: 200 keys × 50 at once over 4 web processes, some hanging up: 200 orders, identical bytes.

The drill sends 1,000 × 50 with the same client (local.drill.storm).
"""

import socket
import threading
from contextlib import contextmanager

import pytest
from django.db import connection
from rest_framework.authtoken.models import Token

from local.drill.storm import Storm, some_keys, storm
from orders.models import Order
from outbox.models import OutboxMessage
from tests.inventory.builders import stocked
from tests.orders.builders import customer
from tests.support.threads import in_thread

from .rest import assert_all_is_well

BODY = {"sku": "CABLE", "quantity": 1}


@pytest.mark.django_db(transaction=True)
def test_f15_a_few_keys_sent_at_once_with_clients_hanging_up_place_one_order_each(live_server):
    """F15, I2: the same client, in one process: every answer of a key is the same bytes."""
    stocked("CABLE", 100)
    token = Token.objects.create(user=customer()).key
    port = int(live_server.url.rpartition(":")[2])

    found = storm(Storm(port=port, token=token, body=BODY, keys=some_keys(4), times=10, hang_up_share=0.3))

    assert (found.orders, found.torn, found.unanswered) == (4, [], [])
    assert found.statuses[201] == 40
    assert found.hung_up > 0
    assert Order.objects.count() == 4
    assert OutboxMessage.objects.filter(type="order.created.v1").values("aggregate_id").distinct().count() == 4


class TestTheClientItself:
    """A storm that could not see a torn answer would prove nothing."""

    def test_f15_two_answers_to_one_key_are_told(self):
        """F15: a server that answers each request with another order is found out."""
        with answering(lambda number: b'{"id": "%d"}' % number) as port:
            found = storm(Storm(port=port, token="t", body=BODY, keys=["k1", "k2"], times=3, hang_up_share=0.0))

        assert sorted(found.torn) == ["k1", "k2"]
        assert found.orders == 6

    def test_f15_a_client_without_an_answer_is_told(self):
        """F15: nobody is left out of the count."""
        with answering(lambda number: b"{}", status=b"500 Oops") as port:
            found = storm(Storm(port=port, token="t", body=BODY, keys=["k1"], times=3, hang_up_share=0.0))

        assert len(found.unanswered) == 3
        assert found.orders == 0


@pytest.mark.proof
def test_f15_two_hundred_keys_fifty_times_at_once_over_four_web_processes(service):
    """F15, I1, I2: 10,000 answers, 200 orders, one message each; whoever hung up and came back got the same bytes."""
    service.start("sandbox", "web", environment={"WEB_WORKERS": "4"})

    ended = threading.Event()
    waited = in_thread(lambda: times_that_twins_waited(ended))

    found = storm(Storm(port=service.stack.web_port, token=service.tokens["customer"], body=BODY, keys=some_keys(200)))

    ended.set()
    assert waited.result(10) > 0, "nobody waited for a twin: the requests were not at once"
    assert (found.orders, found.torn, found.unanswered) == (200, [], [])
    assert found.statuses[201] == 10_000
    # At most one answer of each key is the original's; of some its client had hung up.
    assert found.replays >= 10_000 - 200
    assert found.hung_up > 500
    assert Order.objects.count() == 200
    service.start()
    assert_all_is_well(service)
    assert Order.objects.filter(status="confirmed").count() == 200


def times_that_twins_waited(ended):
    """How often a look found a request waiting for another one's claim of the same key."""
    seen = 0
    while not ended.wait(0.02):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted")
            seen += cursor.fetchone()[0] > 0
    return seen


@contextmanager
def answering(body_of, *, status=b"201 Created"):
    """A web server that answers whatever it is sent, each request by its number."""
    door = socket.create_server(("127.0.0.1", 0))
    numbers = iter(range(1_000_000))

    def answer(client):
        with client:
            client.recv(65_536)
            body = body_of(next(numbers))
            head = b"HTTP/1.1 %s\r\nLocation: /%s\r\nContent-Length: %d\r\n\r\n" % (status, body[-3:], len(body))
            client.sendall(head + body)

    def serve():
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            answer(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
