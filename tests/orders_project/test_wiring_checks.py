"""System checks: each name in the settings that leads nowhere is told, with the one that was meant."""

from typing import Any

import pytest
from django.conf import settings as configured
from django.core.checks import run_checks

from orders_project.checks import TAG
from orders_project.wiring_checks import known_variables
from outbox import routing
from tests.architecture.tree import ROOT


def told() -> list[tuple[str, str | None]]:
    """(number, hint)"""
    return [(str(message.id).partition(".")[2], message.hint) for message in run_checks(tags=[TAG])]


def outbox(**changes: Any) -> dict[str, Any]:
    return {**configured.OUTBOX, **changes}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The environment of a process that was given nothing."""
    environment = {"HOME": "/", "PATH": "/bin", "SECRET_KEY": "x"}
    monkeypatch.setattr("os.environ", environment)
    return environment


def test_a_missing_provider_is_refused_with_the_one_that_was_meant(settings):
    limits = dict(settings.PROVIDERS)
    settings.PROVIDERS = {"payment": limits.pop("payments"), **limits}
    assert told() == [("E014", "Did you mean payment?")]


@pytest.mark.parametrize("name", ["PAYMENT_GATEWAY", "CARRIER", "NOTIFICATION_CHANNEL"])
@pytest.mark.parametrize("path", ["payments.gateways.sandbox.SandboxGatewy", "no.such.module.Gateway", "Gateway"])
def test_a_backend_that_cannot_be_imported_is_refused(settings, name, path):
    setattr(settings, name, {"BACKEND": path, "OPTIONS": {"url": "", "api_key": ""}})
    [(number, hint)] = told()
    assert (number, hint.startswith(("ImportError", "ModuleNotFoundError"))) == ("E015", True)


def test_a_transport_that_cannot_be_imported_is_refused(settings):
    settings.OUTBOX = outbox(DESTINATIONS={"kafka": {"BACKEND": "outbox.transports.kafkaa.Transport", "TYPES": ["*"]}})
    assert [number for number, _ in told()] == ["E015"]


def test_slots_of_a_queue_that_nobody_consumes_are_refused(settings):
    settings.OUTBOX = outbox(QUEUE_SLOTS={"default": 2, "payment": 1})
    assert told() == [("E016", "Did you mean payments?")]


def test_a_destination_on_a_queue_that_nobody_consumes_is_refused(monkeypatch):
    stray = routing.Inside(name="test.stray", queue="attic", types=frozenset(), run=lambda destination: 0)
    monkeypatch.setattr(routing, "_inside", {**routing._inside, stray.name: stray})
    assert told() == [("E016", None)]


@pytest.mark.parametrize("count", [0, -1])
def test_no_slots_at_all_are_refused(settings, count):
    settings.OUTBOX = outbox(QUEUE_SLOTS={**configured.OUTBOX["QUEUE_SLOTS"], "steps": count})
    assert told() == [("E007", None)]


def test_a_pattern_that_no_event_fits_is_refused(settings):
    """Nothing would be sent, without a word."""
    console = "outbox.transports.console.ConsoleTransport"
    settings.OUTBOX = outbox(DESTINATIONS={"console": {"BACKEND": console, "TYPES": ["order.*", "order.create.v1"]}})
    assert told() == [("E017", "Did you mean order.created.v1?")]


def test_a_work_queue_that_no_event_of_ours_would_reach_is_a_warning(settings):
    """Another service may publish to the same exchange."""
    settings.OUTBOX = outbox(WORK_QUEUES={"stock.q": ["stock.reserved.*"], "nothing.q": ["invoices.*"]})
    [(number, hint)] = told()
    assert (number, "order.created.v1" in hint) == ("W017", True)


def test_a_currency_that_nobody_knows_is_refused(settings):
    settings.ORDER_DEFAULT_CURRENCY = "EURO"
    assert told() == [("E018", "Did you mean EUR?")]


@pytest.mark.parametrize("bind", ["9100", "127.0.0.1", "127.0.0.1:metrics", "127.0.0.1:70000", "http://127.0.0.1:9100"])
def test_an_address_for_metrics_that_is_none_is_refused(settings, bind):
    settings.METRICS_BIND = bind
    assert [number for number, _ in told()] == ["E013"]


@pytest.mark.parametrize("bind", ["", ":9100", "0.0.0.0:9100", "[::]:9100"])
def test_an_address_for_metrics_that_is_one_is_not(settings, bind):
    settings.METRICS_BIND = bind
    assert told() == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OUTBOX_CLAIM_SECOND", "OUTBOX_CLAIM_SECONDS"),
        ("SAGA_DEADLINE", "SAGA_DEADLINE_HOURS"),
        ("METRICS_TOKENS", "METRICS_TOKEN"),
        ("CELERY_BROKER", "CELERY_BROKER_URL"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_one_that_was_meant(environment, name, meant):
    environment[name] = "1"
    assert told() == [("W019", f"Did you mean {meant}?")]


def test_variables_of_others_are_left_alone(environment):
    environment |= dict.fromkeys(
        ("LC_ALL", "HOSTNAME", "KUBERNETES_SERVICE_HOST", "WEB_BIND", "POSTGRES_PASSWORD"), "x"
    )
    assert told() == []


def test_every_variable_of_the_example_that_settings_read_is_known():
    example = (ROOT / ".env.example").read_text()
    assert len(known_variables()) > 50
    assert [name for name in known_variables() if f"\n#{name}=" not in example] == []
