"""`check --deploy`: defaults and plain connections are refused, one's own machine is not."""

import pytest
from django.core.checks import WARNING

from orders_project import deploy_checks
from orders_project.deploy_checks import check_connections, check_metrics_bind, check_secrets

GOOD_SECRET = "a-secret-of-sufficient-length"


@pytest.fixture(autouse=True)
def _production(settings):
    settings.DEBUG = False
    settings.LOCAL_TOOLS = False
    settings.PAYMENT_WEBHOOK_SECRET = GOOD_SECRET
    settings.PAYMENT_GATEWAY = {"BACKEND": "x", "OPTIONS": {"api_key": GOOD_SECRET}}
    settings.CARRIER = {"BACKEND": "x", "OPTIONS": {"api_key": GOOD_SECRET}}
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:6379/0"
    settings.THROTTLE_REDIS_URL = ""
    settings.RABBITMQ_URL = ""
    settings.METRICS_TOKEN = ""


def numbers(messages) -> list[str]:
    return [message.id.partition(".")[2] for message in messages]


def test_secrets_of_ones_own_are_accepted():
    assert check_secrets(None) == []


def test_each_default_secret_is_refused(settings):
    settings.PAYMENT_WEBHOOK_SECRET = "sandbox-webhook-secret"
    settings.PAYMENT_GATEWAY = {"BACKEND": "x", "OPTIONS": {"api_key": "sandbox-key"}}
    settings.CARRIER = {"BACKEND": "x", "OPTIONS": {"api_key": "sandbox-key"}}
    assert numbers(check_secrets(None)) == ["E101", "E101", "E101"]


def test_a_short_secret_is_refused(settings):
    settings.PAYMENT_WEBHOOK_SECRET = "short"
    assert numbers(check_secrets(None)) == ["E102"]


@pytest.mark.parametrize("name", ["DEBUG", "LOCAL_TOOLS"])
def test_the_sandbox_keeps_its_public_keys_on_a_development_machine(settings, name):
    setattr(settings, name, True)
    settings.PAYMENT_WEBHOOK_SECRET = "sandbox-webhook-secret"
    assert check_secrets(None) == []


def database(**changes):
    return {"HOST": "db.example", "PASSWORD": GOOD_SECRET, "OPTIONS": {"sslmode": "verify-full"}, **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"OPTIONS": {}}, ["E103"]),
        ({"OPTIONS": {"sslmode": "prefer"}}, ["E103"]),
        ({"PASSWORD": "orders"}, ["E104"]),
        ({"PASSWORD": ""}, ["E104"]),
        ({"HOST": "127.0.0.1", "PASSWORD": "orders", "OPTIONS": {}}, []),
        ({"HOST": "/var/run/postgresql", "PASSWORD": "", "OPTIONS": {}}, []),
    ],
)
def test_postgres_on_another_machine_needs_tls_and_a_password(changes, expected):
    assert numbers(deploy_checks._database(database(**changes))) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"rediss://:{GOOD_SECRET}@redis.example/0", []),
        (f"amqps://orders:{GOOD_SECRET}@rabbit.example//", []),
        (f"redis://:{GOOD_SECRET}@redis.example/0", ["E103"]),
        ("amqps://guest:guest@rabbit.example//", ["E104"]),
        ("redis://redis.example/0", ["E103", "E104"]),
    ],
)
def test_a_broker_on_another_machine_needs_tls_and_a_password(settings, url, expected):
    settings.CELERY_BROKER_URL = url
    assert numbers(check_connections(None)) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"amqps://orders:{GOOD_SECRET}@rabbit.example//", []),
        (f"amqp://orders:{GOOD_SECRET}@rabbit.example//", ["E103"]),
        ("amqps://guest:guest@rabbit.example//", ["E104"]),
        ("amqp://guest:guest@127.0.0.1//", []),
        ("", []),
    ],
)
def test_events_leave_this_machine_under_tls_and_with_a_password(settings, url, expected):
    settings.RABBITMQ_URL = url
    assert numbers(check_connections(None)) == expected


@pytest.mark.parametrize(
    ("token", "expected"), [("", []), ("a-long-random-token", []), ("short", ["E102"]), ("sandbox-key", ["E101"])]
)
def test_a_token_for_metrics_is_a_secret_like_the_others(settings, token, expected):
    settings.METRICS_TOKEN = token
    assert numbers(check_secrets(None)) == expected


@pytest.mark.parametrize("name", ["PAYMENT_GATEWAY", "CARRIER"])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://provider.example", []),
        ("http://127.0.0.1:8099", []),
        ("", []),
        ("http://provider.example", ["E103"]),
    ],
)
def test_our_key_travels_to_a_provider_under_tls(settings, name, url, expected):
    setattr(settings, name, {"BACKEND": "x", "OPTIONS": {"api_key": GOOD_SECRET, "url": url}})
    assert numbers(check_connections(None)) == expected


def test_the_sandbox_in_a_container_of_its_own_needs_none(settings):
    settings.LOCAL_TOOLS = True
    settings.CARRIER = {"BACKEND": "x", "OPTIONS": {"api_key": GOOD_SECRET, "url": "http://sandbox:8099"}}
    assert check_connections(None) == []


SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.mark.parametrize(
    ("backend", "host", "tls", "expected"),
    [
        (SMTP, "mail.example", {"EMAIL_USE_TLS": True}, []),
        (SMTP, "mail.example", {"EMAIL_USE_SSL": True}, []),
        (SMTP, "mail.example", {}, ["E103"]),
        (SMTP, "127.0.0.1", {}, []),
        ("django.core.mail.backends.console.EmailBackend", "mail.example", {}, []),
    ],
)
def test_customers_are_written_to_under_tls(settings, backend, host, tls, expected):
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = backend, host
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    for name, value in tls.items():
        setattr(settings, name, value)
    assert numbers(check_connections(None)) == expected


@pytest.mark.parametrize("bind", ["0.0.0.0:9100", ":9100", "[::]:9100", "203.0.114.7:9100", "[2a00:1450::1]:9100"])
@pytest.mark.parametrize("token", ["", GOOD_SECRET])
def test_metrics_that_strangers_may_read_are_a_warning_whatever_guards_the_webs(settings, bind, token):
    settings.METRICS_BIND, settings.METRICS_TOKEN = bind, token

    [warned] = check_metrics_bind(None)

    assert (warned.id, warned.level) == ("orders_project.W101", WARNING)
    assert bind in warned.msg


@pytest.mark.parametrize(
    "bind", ["", "127.0.0.1:9100", "[::1]:9100", "10.1.2.3:9100", "[fd00::1]:9100", "metrics:9100"]
)
def test_metrics_on_an_address_of_ones_own_are_not(settings, bind):
    settings.METRICS_BIND = bind

    assert check_metrics_bind(None) == []


def test_a_bind_that_nobody_can_read_is_another_checks(settings):
    settings.METRICS_BIND = "nonsense"

    assert check_metrics_bind(None) == []
