"""System checks: what the audit and the reconciliation take for granted about their settings.

Guarantee: a process whose settings are misspelt, or would judge what is not settled, does not start.
"""

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from .conf import AuditConf, ReconciliationConf, conf, reconciliation

# Among those that web processes and workers ask before they start.
TAG = "orders_project"
GROUPS: tuple[tuple[str, type], ...] = (("AUDIT", AuditConf), ("RECONCILIATION", ReconciliationConf))
INTERVAL_SECONDS_MIN = 1


@register(TAG)
def check_audit(app_configs: object, **_: Any) -> list[CheckMessage]:
    if unknown := [message for group, known in GROUPS for message in _unknown_keys(group, known)]:
        return unknown
    audit, books = conf(), reconciliation()
    return [
        *_at_least("AUDIT['SETTLED_SECONDS']", audit.settled_seconds, 0),
        *_at_least("AUDIT['INTERVAL_SECONDS']", audit.interval_seconds, INTERVAL_SECONDS_MIN),
        *_at_least("AUDIT['STATEMENT_TIMEOUT_SECONDS']", audit.statement_timeout_seconds, 1),
        *_at_least("AUDIT['ROWS_MAX']", audit.rows_max, 1),
        *_at_least("RECONCILIATION['SETTLED_SECONDS']", books.settled_seconds, 0),
        *_at_least("RECONCILIATION['INTERVAL_SECONDS']", books.interval_seconds, INTERVAL_SECONDS_MIN),
    ]


def _unknown_keys(group: str, conf_class: type) -> Iterator[CheckMessage]:
    known = [field.name.upper() for field in fields(conf_class)]
    for key in getattr(settings, group, {}):
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(known)}."
            yield Error(f"{group} has an unknown key {key}.", hint=hint, id="audit.E001")


def _at_least(name: str, value: float, least: float) -> Iterator[CheckMessage]:
    # `not >=` refuses NaN too.
    if not value >= least:
        yield Error(f"{name} must be at least {least:g}, not {value:g}.", id="audit.E002")
