"""The transport to a real RabbitMQ, beyond what every transport must do; read by an independent client."""

from uuid import uuid4

import pytest

from outbox import rabbitmq
from outbox.exceptions import DestinationUnavailable, MessageRejected
from outbox.transports.rabbitmq import RabbitMQTransport
from tests.outbox.transports.test_conformance import message
from tests.support.rabbit import MAX_MESSAGE_BYTES, ON_ONE_NODE, Subscriber

pytestmark = ON_ONE_NODE


@pytest.fixture
def transport(subscriber):
    made = RabbitMQTransport(url=subscriber.url, exchange=subscriber.exchange)
    yield made
    made.close()


def refused(transport, batch) -> DestinationUnavailable:
    with pytest.raises(DestinationUnavailable) as caught:
        transport.send(batch)
    return caught.value


def test_a_message_carries_what_a_consumer_needs_without_reading_its_body(transport, subscriber):
    sent = message(sequence=7)

    assert transport.send([sent]) == [None]

    [arrived] = subscriber.messages()
    assert arrived.delivery_info["routing_key"] == "test.told.v1"
    # The queue counts deliveries in a header of its own.
    arrived.properties["application_headers"].pop("x-delivery-count", None)
    assert arrived.properties == {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "message_id": str(sent.message_id),
        "correlation_id": str(sent.correlation_id),
        "timestamp": 1_735_787_045,
        "type": "test.told.v1",
        "app_id": "orders",
        "application_headers": {
            "traceparent": sent.headers["traceparent"],
            "aggregateType": "test",
            "aggregateId": str(sent.aggregate_id),
            "sequence": 7,
        },
    }


def test_s17_each_orders_sequence_arrives_in_order_over_batches(transport, subscriber):
    """S17, I12: one channel, one queue, confirmed batch by batch."""
    orders = [uuid4() for _ in range(40)]
    for number in range(1, 6):
        batch = [message(aggregate_id=order, sequence=number) for order in orders]
        assert transport.send(batch) == [None] * 40

    arrived = [event["metadata"] for event in subscriber.events()]
    assert len(arrived) == 200
    for order in orders:
        assert [one["sequence"] for one in arrived if one["aggregateId"] == str(order)] == [1, 2, 3, 4, 5]


def test_f4_an_unroutable_message_says_so_and_what_the_broker_took_counts_as_sent(transport, subscriber):
    """F4: the destination's trouble; what was confirmed beside it is not sent again."""
    batch = [message(), message(type="nobody.asked.v1"), message()]

    error = refused(transport, batch)

    assert str(error) == (
        f"unroutable: exchange {subscriber.exchange} has no queue bound for nobody.asked.v1 (NO_ROUTE)"
    )
    assert error.answers == {batch[0].key: None, batch[2].key: None}
    assert [event["eventId"] for event in subscriber.events()] == [str(batch[0].message_id), str(batch[2].message_id)]
    assert transport.send([message()]) == [None]


def test_f4_a_message_above_the_brokers_limit_is_rejected_and_its_batch_arrives(transport, subscriber):
    """F4: the broker ends the channel over it; the transport learns the limit and sends the others anew."""
    large = message(payload={"text": "x" * MAX_MESSAGE_BYTES})
    others = [message(payload={"text": text}) for text in "abc"]

    answers = transport.send([others[0], large, *others[1:]])

    assert [type(answer) for answer in answers] == [type(None), MessageRejected, type(None), type(None)]
    assert str(answers[1]).endswith("bytes: this broker takes at most 100,000")
    # At least once: what it had taken before the channel ended comes again under the same id.
    arrived = [event["eventId"] for event in subscriber.events()]
    assert set(arrived) == {str(one.message_id) for one in others}
    assert transport.send([large, others[0]])[1] is None
    assert len(subscriber.events()) == 1


def test_a_message_that_no_frame_takes_is_rejected_and_its_batch_arrives(transport, subscriber):
    answers = transport.send([message(), message(type="test." + "x" * 300), message()])

    assert [type(answer) for answer in answers] == [type(None), MessageRejected, type(None)]
    assert len(subscriber.events()) == 2


def test_f4_a_missing_exchange_closes_the_channel_and_says_so_until_it_is_there(subscriber):
    """F4: channel closed by the server."""
    exchange = f"late.{uuid4()}"
    transport = RabbitMQTransport(url=subscriber.url, exchange=exchange)

    error = refused(transport, [message()])
    assert (str(error), error.answers) == (f"NOT_FOUND - no exchange '{exchange}' in vhost '/'", {})

    late = Subscriber(subscriber.url, exchange=exchange)
    assert transport.send([message()]) == [None]
    assert len(late.events()) == 1
    late.close()
    transport.close()


def test_f4_a_full_queue_refuses_and_what_it_took_before_counts_as_sent(transport, subscriber):
    """F4: nack, with overflow=reject-publish as the topology declares it."""
    subscriber.declare(f"{subscriber.exchange}.full", ["full.#"], max_length=1, overflow="reject-publish")
    # A quorum queue notices a little late that it is full.
    assert any(refuses(transport, message(type="full.v1")) for _ in range(50))

    batch = [message(), message(type="full.v1")]
    error = refused(transport, batch)

    assert str(error) == f"nack: a queue behind {subscriber.exchange} is full or has lost its majority"
    assert error.answers == {batch[0].key: None}


def refuses(transport, one):
    try:
        transport.send([one])
    except DestinationUnavailable as error:
        return error
    return None


def test_a_connection_that_ended_while_nobody_looked_costs_no_pause(transport, subscriber):
    assert transport.send([message()]) == [None]
    transport._link.connection.sock.shutdown(2)

    assert transport.send([message()]) == [None]
    assert len(subscriber.events()) == 2


def test_a_broker_whose_confirms_do_not_come_is_given_up_in_time(transport, subscriber):
    """The total deadline: shorter than the claim, whatever the broker does."""
    transport.send([message()])
    transport._link._channel.events["basic_ack"] = {lambda tag, multiple: None}
    transport._send_seconds = 0.3

    error = refused(transport, [message(), message()])

    assert (str(error), error.answers) == ("no confirm in time for 2 messages", {})
    assert transport._link is None


@pytest.mark.parametrize("url", ["http://127.0.0.1", "amqp://", "127.0.0.1:5672"])
def test_a_url_that_is_none_of_rabbitmqs_is_refused(url):
    with pytest.raises(ValueError, match="must read amqp://"):
        rabbitmq.connect(rabbitmq.Address(url=url))


def test_a_url_names_host_user_and_vhost():
    given = rabbitmq._parameters(rabbitmq.Address(url="amqps://a%40b:p%2Fw@[::1]/%2Fshop", ca_file="ca.pem"))

    assert given == {
        "host": "[::1]:5671",
        "userid": "a@b",
        "password": "p/w",
        "virtual_host": "/shop",
        "ssl": {"server_hostname": "::1", "ca_certs": "ca.pem"},
    }


def test_amqps_sends_to_a_broker_whose_certificate_proves_its_name(subscriber, rabbit_tls):
    transport = RabbitMQTransport(url=rabbit_tls.url, ca_file=str(rabbit_tls.certificate), exchange=subscriber.exchange)

    assert transport.send([message()]) == [None]
    assert len(subscriber.events()) == 1
    transport.close()


@pytest.mark.parametrize("trusts", [True, False])
def test_amqps_sends_nothing_to_a_broker_that_does_not_prove_who_it_is(subscriber, rabbit_tls, trusts):
    """Another authority's certificate, or the right one's for another name."""
    url = rabbit_tls.url.replace("127.0.0.1", "localhost") if trusts else rabbit_tls.url
    transport = RabbitMQTransport(
        url=url, ca_file=str(rabbit_tls.certificate) if trusts else "", exchange=subscriber.exchange
    )

    assert "CERTIFICATE_VERIFY_FAILED" in str(refused(transport, [message()]))
    assert subscriber.events() == []


def test_a_wrong_password_is_the_destinations_trouble(subscriber):
    url = subscriber.url.replace("guest:guest", "guest:wrong")

    assert "ACCESS_REFUSED" in str(refused(RabbitMQTransport(url=url), [message()]))
