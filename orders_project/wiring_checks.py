"""System checks: whatever the settings name exists: providers, backends, queues, event types, currencies, variables.

Guarantee: a name that leads nowhere is told before a process serves, with the one that was meant; without it the first
order would find out. Not guaranteed: that what is named works (nobody is called here). Limits and times are
`orders_project.checks`.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's own name for it
from django.utils.module_loading import import_string

from orders_project import metrics_server
from orders_project.checks import TAG, check_known_keys
from outbox import routing
from outbox.conf import conf
from outbox.money import EXPONENTS
from outbox.registry import Event

# The queues of remote steps are called like their providers.
PROVIDERS = ("payments", "shipping", "notifications")
# So alike that one was meant for the other.
ALIKE = 0.8
_VARIABLE = re.compile(r'\benv(?:\.\w+)?\(\s*"([A-Z][A-Z0-9_]+)"')


@register(TAG)
def check_providers_are_set(app_configs: object, **_: Any) -> list[CheckMessage]:
    return [
        _error(f"PROVIDERS has no {name!r}.", "E014", hint=_meant(name, settings.PROVIDERS))
        for name in PROVIDERS
        if name not in settings.PROVIDERS
    ]


@register(TAG)
def check_backends(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Gateways, carriers, channels and transports are named by dotted paths."""
    named = {
        name: getattr(settings, name)["BACKEND"] for name in ("PAYMENT_GATEWAY", "CARRIER", "NOTIFICATION_CHANNEL")
    }
    named |= {f"OUTBOX['DESTINATIONS'][{name!r}]": given["BACKEND"] for name, given in conf().destinations.items()}
    return [
        _error(f"{name}: {path!r} cannot be imported.", "E015", hint=f"{type(error).__name__}: {error}")
        for name, path in named.items()
        if (error := _import_error(path))
    ]


@register(TAG)
def check_queues(app_configs: object, **_: Any) -> list[CheckMessage]:
    """A destination whose queue nobody consumes would wait for ever."""
    # Imported late: the Celery application reads the settings that are being checked.
    from orders_project.celery import QUEUES

    served = {one.queue for one in routing.all_inside()}
    messages: list[CheckMessage] = [
        _error(f"No worker consumes queue {name!r}.", "E016") for name in sorted(served - set(QUEUES))
    ]
    for name, count in conf().queue_slots.items():
        if name not in QUEUES:
            text = f"OUTBOX['QUEUE_SLOTS'] has an unknown queue {name!r}."
            messages.append(_error(text, "E016", hint=_meant(name, QUEUES)))
        if count < 1:
            messages.append(_error(f"OUTBOX['QUEUE_SLOTS'][{name!r}] must be at least 1, not {count}.", "E007"))
    return messages


@register(TAG)
def check_event_types(app_configs: object, **_: Any) -> list[CheckMessage]:
    """A pattern that no event fits sends nothing, without a word."""
    if check_known_keys(None):
        return []
    patterns = {name: given.get("TYPES", ["*"]) for name, given in conf().destinations.items()}
    patterns = {f"OUTBOX['DESTINATIONS'][{name!r}]": types for name, types in patterns.items()}
    patterns |= {f"OUTBOX['WORK_QUEUES'][{name!r}]": bound for name, bound in conf().work_queues.items()}
    return [message for name, wanted in patterns.items() for message in _unfit(name, wanted)]


@register(TAG)
def check_currency(app_configs: object, **_: Any) -> list[CheckMessage]:
    currency = settings.ORDER_DEFAULT_CURRENCY
    if currency in EXPONENTS:
        return []
    hint = _meant(currency, EXPONENTS) or f"Known currencies: {', '.join(EXPONENTS)}."
    return [_error(f"ORDER_DEFAULT_CURRENCY is {currency!r}, which nobody could order in.", "E018", hint=hint)]


@register(TAG)
def check_metrics_bind(app_configs: object, **_: Any) -> list[CheckMessage]:
    try:
        metrics_server.parse(settings.METRICS_BIND or ":0")
    except ValueError as error:
        return [_error(f"METRICS_BIND is {settings.METRICS_BIND!r}: {error}", "E013", hint="For example 0.0.0.0:9100.")]
    return []


@register(TAG)
def check_environment(app_configs: object, **_: Any) -> list[CheckMessage]:
    """A variable that nobody reads and that is almost one of ours. A warning: the environment is not ours alone."""
    known = known_variables()
    return [
        Warning(f"The environment has {name}, which nobody reads.", hint=hint, id="orders_project.W019")
        for name in sorted(os.environ)
        if name not in known and (hint := _meant(name, known))
    ]


def known_variables() -> set[str]:
    """What settings.py reads, by its own text."""
    return set(_VARIABLE.findall(Path(settings.BASE_DIR, "orders_project", "settings.py").read_text()))


def _unfit(name: str, patterns: Sequence[str]) -> Iterator[CheckMessage]:
    """Refused when another was evidently meant; else a warning, for other code may publish what this one does not."""
    types = _event_types()
    for pattern in patterns:
        if any(fnmatchcase(event, pattern) for event in types):
            continue
        text = f"{name}: no event fits {pattern!r}."
        if hint := _meant(pattern, types):
            yield _error(text, "E017", hint=hint)
        else:
            yield Warning(text, hint=f"Events: {', '.join(types)}.", id="orders_project.W017")


def _event_types() -> list[str]:
    """Every event that this code publishes; RabbitMQ's `#` and `*` stand in patterns only."""
    return sorted({event.type for event in Event.__subclasses__() if hasattr(event, "type")})


def _import_error(path: str) -> Exception | None:
    try:
        import_string(path)
    except Exception as error:  # noqa: BLE001 - whatever a module raises when it is imported
        return error
    return None


def _meant(name: str, known: Collection[str] | Mapping[str, Any]) -> str | None:
    close = get_close_matches(name, list(known), n=1, cutoff=ALIKE)
    return f"Did you mean {close[0]}?" if close else None


def _error(text: str, number: str, *, hint: str | None = None) -> Error:
    return Error(text, hint=hint, id=f"orders_project.{number}")
