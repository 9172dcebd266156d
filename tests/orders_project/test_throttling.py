"""CallerThrottle: who is counted, what a refused caller learns, and that Redis never stops a request."""

import os
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.test import override_settings
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from orders_project import throttling
from tests.orders_project.test_throttle_counter import dead_url


class Anybody(APIView):
    permission_classes = [AllowAny]

    def get(self, request):
        return Response({})


urlpatterns = [path("anybody", Anybody.as_view())]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _limit(settings):
    settings.THROTTLE_REQUESTS_PER_MINUTE = 3
    settings.THROTTLE_REDIS_URL = ""
    # A generous budget: this test asks what is counted, not how fast.
    settings.THROTTLE_REDIS_TIMEOUT_MS = 5_000
    throttling._redis.cache_clear()
    with time_machine.travel("2026-11-20T09:30:20Z", tick=False):
        throttling._LOCAL._counts.clear()
        yield


@pytest.fixture(params=["memory", "valkey", "dead port"])
def _store(request, settings):
    """The same promise wherever the counter lives."""
    settings.THROTTLE_REDIS_URL = {"memory": "", "valkey": os.environ["CELERY_BROKER_URL"], "dead port": dead_url()}[
        request.param
    ]


def get(*, address: str, user=None):
    client = APIClient(REMOTE_ADDR=address)
    if user is not None:
        client.force_authenticate(user)
    return client.get("/anybody")


def address() -> str:
    """A caller nobody has counted yet."""
    return str(uuid4())


@pytest.mark.usefixtures("_store")
def test_the_limit_is_answered_and_one_more_is_a_429_problem():
    caller = address()
    assert [get(address=caller).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = get(address=caller)
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Retry-After"] == "40"


def test_every_answer_tells_what_is_left():
    answer = get(address=address())
    assert answer.headers["RateLimit-Policy"] == '"caller";q=3;w=60'
    assert answer.headers["RateLimit"] == '"caller";r=2;t=40'


def test_another_caller_has_a_count_of_their_own():
    one, other = address(), address()
    assert [get(address=one).status_code for _ in range(4)][-1] == 429
    assert get(address=other).status_code == 200


def test_a_user_is_counted_as_one_from_every_address():
    user = get_user_model().objects.create_user("ada")
    assert [get(address=address(), user=user).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_the_next_minute_begins_anew():
    caller = address()
    assert [get(address=caller).status_code for _ in range(4)][-1] == 429
    with time_machine.travel("2026-11-20T09:31:00Z", tick=False):
        assert get(address=caller).status_code == 200


def test_a_limit_of_zero_counts_nobody():
    with override_settings(THROTTLE_REQUESTS_PER_MINUTE=0):
        answers = [get(address=address()) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("RateLimit" in answer.headers for answer in answers)
    assert throttling._LOCAL._counts == {}


def test_memory_forgets_a_window_when_the_next_one_begins():
    counter = throttling.LocalCounter()
    assert [counter.increment("a", 1), counter.increment("a", 1), counter.increment("b", 2)] == [1, 2, 1]
    assert counter._counts == {"b": 1}
