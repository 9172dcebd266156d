"""/health/details: what staff see of lag, processes, ticks, brokers, breakers, sagas and the audit; for nobody else."""

import socket
from contextlib import closing
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from celery import current_app
from django.db import OperationalError
from django.utils import timezone

from audit.models import AuditRun, Difference, Position
from local.ports import any_free
from outbox import heartbeat, periodic
from outbox.health import brokers
from outbox.models import Destination, OutboxMessage
from providers.models import Breaker
from tests.support.shop import saga_of
from tests.support.staff import api, root

pytestmark = pytest.mark.django_db
PATH = "/health/details"


@pytest.fixture
def silent():
    """A port that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.fixture
def no_broker(monkeypatch):
    monkeypatch.setattr("outbox.health.brokers", lambda: {"celery": None, "events": None})


def told():
    answer = api(is_staff=True).get(PATH)
    assert answer.status_code == 200
    return answer.json()


def point_at(settings, monkeypatch, port):
    """Both brokers are to be found on this port."""
    connect = partial(current_app.connection_for_write, f"redis://127.0.0.1:{port}/0")
    monkeypatch.setattr(current_app, "connection_for_write", connect)
    rabbitmq = {
        "BACKEND": "outbox.transports.rabbitmq.RabbitMQTransport",
        "OPTIONS": {"url": f"amqp://guest:guest@127.0.0.1:{port}//"},
    }
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"rabbitmq": rabbitmq}}


def event(destination, **columns):
    order = uuid4()
    return OutboxMessage.objects.create(
        message_id=uuid4(),
        destination=destination,
        type="order.created.v1",
        aggregate_type="order",
        aggregate_id=order,
        correlation_id=order,
        payload={},
        **columns,
    )


def test_a_customer_gets_a_problem_and_a_stranger_is_asked_who_he_is(client):
    refused = api().get(PATH)
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    unknown = client.get(PATH)
    assert (unknown.status_code, unknown["Content-Type"]) == (401, "application/problem+json")


def test_a_session_of_the_admin_is_enough(no_broker):
    assert root().get(PATH).status_code == 200


def test_every_part_of_the_service_has_its_say(no_broker):
    assert set(told()) == {"outbox", "sagas", "providers", "audit"}


def test_a_destination_tells_its_lag_its_dead_and_why_it_is_paused(no_broker):
    ago = timezone.now() - timedelta(minutes=10)
    event("notifications.order_confirmed", state="dead", last_error="boom")
    late = event("rabbitmq", due_at=ago)
    OutboxMessage.objects.filter(pk=late.pk).update(created_at=ago)
    event("rabbitmq", due_at=timezone.now() + timedelta(hours=1), scheduled_for=timezone.now() + timedelta(hours=1))
    Destination.objects.create(name="rabbitmq", paused_until=timezone.now() + timedelta(minutes=1), pause_reason="full")
    Destination.objects.create(name="orders.start_fulfilment", paused_until=ago, pause_reason="over long ago")

    told_of = {one["destination"]: one for one in told()["outbox"]["destinations"]}

    rabbitmq = told_of["rabbitmq"]
    assert (rabbitmq["open"], rabbitmq["due"], rabbitmq["dead"], rabbitmq["pause_reason"]) == (2, 1, 0, "full")
    assert 600 <= rabbitmq["lag_seconds"] <= rabbitmq["oldest_seconds"] + 1 < 700
    assert told_of["notifications.order_confirmed"]["dead"] == 1
    assert told_of["orders.start_fulfilment"] == {
        "destination": "orders.start_fulfilment",
        **dict.fromkeys(("open", "due", "dead"), 0),
        **dict.fromkeys(("lag_seconds", "oldest_seconds"), 0.0),
        **dict.fromkeys(("paused_until", "pause_reason")),
    }


def test_processes_and_ticks_say_when_they_were_last_seen(no_broker, monkeypatch):
    monkeypatch.setenv("PROCESS_NAME", "worker-2")
    heartbeat.beat("worker")
    monkeypatch.setattr(periodic, "_registered", {})
    periodic.tick("test.ran", every=timedelta(seconds=5))(lambda: None)
    periodic.tick("test.never", every=timedelta(minutes=1))(lambda: None)
    periodic.run("test.ran")

    outbox = told()["outbox"]

    [process] = outbox["processes"]
    assert (process["process"].partition("@")[0], process["kind"], process["age_seconds"] < 60) == (
        "worker-2",
        "worker",
        True,
    )
    ran, never = outbox["ticks"]
    assert (ran["name"], ran["every_seconds"], ran["age_seconds"] < 60) == ("test.ran", 5.0, True)
    assert never == {"name": "test.never", "every_seconds": 60.0, "age_seconds": None}


def test_breakers_sagas_and_the_audit_tell_what_they_know(no_broker, shop):
    Breaker.objects.create(
        provider="shipping", state="open", failures=5, trips=1, retry_at=timezone.now(), reason="503"
    )
    saga_of(shop.started())
    violated = {"no_order_is_lost": {"promise": "I1", "count": 3, "rows": [], "found_at": ""}}
    AuditRun.objects.create(
        name="audit", began_at=timezone.now(), judged_until=timezone.now(), milliseconds=5, violations=violated
    )
    Difference.objects.create(provider="payments", object="charge", kind="amount", provider_key="a")
    Position.objects.create(object="charge", ours=uuid4())

    page = told()

    breakers = {one["provider"]: (one["state"], one["reason"]) for one in page["providers"]["breakers"]}
    assert breakers == {"payments": ("closed", None), "shipping": ("open", "503"), "notifications": ("closed", None)}
    assert page["sagas"]["live"] == [{"saga": "fulfil_order", "status": "running", "count": 1}]
    assert page["audit"]["last_run"]["violations"] == {"I1": 3}
    [difference] = page["audit"]["differences"]
    assert (difference["kind"], difference["object"], difference["count"]) == ("amount", "charge", 1)
    assert list(page["audit"]["reconciled_seconds_ago"]) == ["charge"]


def test_a_part_that_cannot_be_read_is_unknown_and_the_others_speak(no_broker, monkeypatch):
    def refuse():
        raise OperationalError("canceling statement")

    monkeypatch.setattr("audit.health.details", refuse)

    page = told()

    assert page["audit"] == "unknown"
    assert page["sagas"] == {"live": []}


def test_a_broker_that_answers_is_said_to(settings):
    told_of = brokers()

    assert told_of["celery"]["answers"] is True
    assert told_of["events"] is None


def test_a_broker_that_is_silent_is_given_up_after_a_second(settings, monkeypatch, silent):
    """The page comes all the same: both are asked at once, and neither for longer."""
    point_at(settings, monkeypatch, silent)

    answered = told()["outbox"]["brokers"]

    assert answered["celery"] == {"answers": False, "error": "no answer within 1 s"}
    assert answered["events"]["answers"] is False


def test_a_broker_that_is_not_there_is_told_with_its_error(settings, monkeypatch):
    point_at(settings, monkeypatch, any_free())

    answered = brokers()

    assert {name: one["answers"] for name, one in answered.items()} == {"celery": False, "events": False}
    assert all("refused" in one["error"].lower() for one in answered.values())


def test_a_token_does_not_travel_without_tls_where_tls_is_the_rule(client, settings):
    """Probes may come in the clear; what staff send may not."""
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/health/live").status_code == 200
    assert client.get(PATH).status_code == 301
