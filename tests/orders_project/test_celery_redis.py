"""Kombu's Redis transport, as the service uses it: what is no message costs a log line."""

import kombu
import pytest
import redis
from django.conf import settings

TRANSPORT = "orders_project.celery_redis:Transport"
QUEUE = "test.unreadable"
NOISE = [b"\xff\xfe no text", b"not json", b"{}", b"[1, 2]", b"null", b'{"properties": {}}']


@pytest.fixture
def client():
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        yield client
        client.delete(QUEUE)


def received(transport):
    """What a consumer of the queue gets after the noise."""
    with kombu.Connection(settings.CELERY_BROKER_URL, transport=transport) as connection:
        queue = connection.SimpleQueue(QUEUE)
        queue.put("a ring")
        try:
            message = queue.get(timeout=10)
            message.ack()
            return message.payload
        finally:
            queue.close()


def test_f8_bytes_that_are_no_message_are_passed_over(client):
    """F8: the message behind them is delivered, and none of them is left."""
    for noise in NOISE:
        client.lpush(QUEUE, noise)

    assert received(TRANSPORT) == "a ring"
    assert client.llen(QUEUE) == 0


@pytest.mark.parametrize("noise", NOISE)
def test_f8_kombus_own_transport_ends_its_consumer_over_each_of_them(client, noise):
    """F8: the day that this fails, ours is not needed any more."""
    client.lpush(QUEUE, noise)

    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        received("redis")


def test_f8_the_service_is_configured_with_it():
    """F8: on Redis; RabbitMQ's transport frames its messages itself."""
    assert settings.CELERY_BROKER_URL.startswith("redis://")
    assert settings.CELERY_BROKER_TRANSPORT == TRANSPORT
