"""The throttle's Redis may be alive, dead or hanging: an order is taken all the same."""

import os
import threading

import pytest
from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from inventory.operations import seed_catalogue
from orders_project import throttling
from tests.orders_project.test_throttle_counter import dead_url, server

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["alive", "dead", "silent"])
def _redis(request, settings):
    silence = threading.Event()
    settings.THROTTLE_REQUESTS_PER_MINUTE = 5
    throttling._redis.cache_clear()
    throttling._LOCAL._counts.clear()
    with server(lambda connection: silence.wait()) as silent_url:
        urls = {"alive": os.environ["CELERY_BROKER_URL"], "dead": dead_url(), "silent": silent_url}
        settings.THROTTLE_REDIS_URL = urls[request.param]
        yield
        silence.set()
    throttling._redis.cache_clear()


@pytest.mark.usefixtures("_redis")
def test_orders_are_taken_up_to_the_limit_whatever_redis_does():
    seed_catalogue()
    client = APIClient()
    client.force_authenticate(get_user_model().objects.create_user("ada"))
    sku = client.get("/products").json()["results"][0]["sku"]
    answers = [client.post("/orders", {"sku": sku, "quantity": 1}, format="json").status_code for _ in range(5)]
    assert answers == [201, 201, 201, 201, 429]
