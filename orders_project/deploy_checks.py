"""`check --deploy`: what is fine on one's own machine and not in production.

Guarantee: the defaults that stand in this repository (secrets, provider keys, passwords) and unencrypted connections
to other machines are errors; metrics that strangers may read are a warning, for a container may hide the address.
It does not judge the strength of a secret beyond its length, nor what a name resolves to.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - the name that Django gives it

from . import metrics_server

SECRET_MIN_LENGTH = 16
DEFAULT_SECRETS = frozenset({"sandbox-key", "sandbox-webhook-secret", "insecure-development-key", "orders", "guest"})
_LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
_ENCRYPTED_POSTGRES = ("require", "verify-ca", "verify-full")


@register("orders_project", deploy=True)
def check_secrets(app_configs: object, **_: Any) -> list[CheckMessage]:
    """With the development tools installed the sandbox is the provider, and its keys are public on purpose."""
    if settings.DEBUG or settings.LOCAL_TOOLS:
        return []
    return [message for name, value in _secrets().items() for message in _judge(name, value)]


@register("orders_project", deploy=True)
def check_connections(app_configs: object, **_: Any) -> list[CheckMessage]:
    brokers = ("CELERY_BROKER_URL", "THROTTLE_REDIS_URL", "RABBITMQ_URL")
    return [
        *_database(settings.DATABASES["default"]),
        *(message for name in brokers for message in _broker(name)),
        *(message for name in ("PAYMENT_GATEWAY", "CARRIER") for message in _provider(name)),
        *_mail_server(),
    ]


@register("orders_project", deploy=True)
def check_metrics_bind(app_configs: object, **_: Any) -> list[CheckMessage]:
    """METRICS_TOKEN guards the web's /metrics; who reaches METRICS_BIND is asked for nothing."""
    try:
        host, _port = metrics_server.parse(settings.METRICS_BIND) if settings.METRICS_BIND else ("localhost", 0)
    except ValueError:
        return []  # E013 says so
    if not (reach := _reach(host)):
        return []
    text = f"METRICS_BIND is {settings.METRICS_BIND!r}: /metrics is served on {reach}, without a token."
    hint = "Bind an address that only the scraper reaches. In a container whose port nobody publishes this is fine."
    return [Warning(text, hint=hint, id="orders_project.W101")]


def _reach(host: str) -> str:
    """From where an address is reached, when it may be from anywhere; "" for loopback, private networks and names."""
    if not host:
        return "every address of the machine"
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if address.is_unspecified:
        return "every address of the machine"
    return "" if address.is_private else "a public address"


def _secrets() -> Mapping[str, str]:
    return {
        "PAYMENT_WEBHOOK_SECRET": settings.PAYMENT_WEBHOOK_SECRET,
        "PAYMENT_API_KEY": settings.PAYMENT_GATEWAY["OPTIONS"].get("api_key", ""),
        "CARRIER_API_KEY": settings.CARRIER["OPTIONS"].get("api_key", ""),
        # Without one only loopback may read /metrics.
        **({"METRICS_TOKEN": settings.METRICS_TOKEN} if settings.METRICS_TOKEN else {}),
    }


def _judge(name: str, value: str) -> Iterator[CheckMessage]:
    if value in DEFAULT_SECRETS:
        yield _error(f"{name} is the development default.", "E101")
    elif len(value) < SECRET_MIN_LENGTH:
        yield _error(f"{name} is shorter than {SECRET_MIN_LENGTH} characters.", "E102")


def _database(database: Mapping[str, Any]) -> Iterator[CheckMessage]:
    host = database.get("HOST") or ""
    if _is_local(host):
        return
    if database.get("OPTIONS", {}).get("sslmode") not in _ENCRYPTED_POSTGRES:
        yield _error(f"Postgres on {host} is reached without TLS: add ?sslmode=verify-full to DATABASE_URL.", "E103")
    if not database.get("PASSWORD") or database.get("PASSWORD") in DEFAULT_SECRETS:
        yield _error(f"Postgres on {host} has no password or the default one.", "E104")


def _broker(name: str) -> Iterator[CheckMessage]:
    url = urlsplit(getattr(settings, name))
    if _is_local(url.hostname or ""):
        return
    if url.scheme not in ("rediss", "amqps"):
        yield _error(f"{name} reaches {url.hostname} without TLS: use rediss:// or amqps://.", "E103")
    if not url.password or url.password in DEFAULT_SECRETS:
        yield _error(f"{name} reaches {url.hostname} without a password or with the default one.", "E104")


def _provider(name: str) -> Iterator[CheckMessage]:
    """With the development tools installed the sandbox is the provider, in a container beside this one."""
    url = urlsplit(getattr(settings, name)["OPTIONS"].get("url", ""))
    if url.scheme != "https" and not (_is_local(url.hostname or "") or settings.DEBUG or settings.LOCAL_TOOLS):
        yield _error(f"{name} reaches {url.hostname} without TLS: our key would travel in the clear.", "E103")


def _mail_server() -> Iterator[CheckMessage]:
    """Customers' addresses and orders are in every mail."""
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend") or _is_local(settings.EMAIL_HOST or ""):
        return
    if not (getattr(settings, "EMAIL_USE_TLS", False) or getattr(settings, "EMAIL_USE_SSL", False)):
        yield _error(f"EMAIL_URL reaches {settings.EMAIL_HOST} without TLS: use smtp+tls:// or smtp+ssl://.", "E103")


def _is_local(host: str) -> bool:
    return host in _LOOPBACK or host.startswith("/")


def _error(text: str, number: str) -> Error:
    return Error(text, id=f"orders_project.{number}")
