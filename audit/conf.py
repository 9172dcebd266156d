"""The audit's settings, frozen, with units in their names, and those of others that it judges by."""

from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class AuditConf:
    # Beside live traffic an order is judged once it ended longer ago than that and nothing of it is under way.
    settled_seconds: float = 60.0
    interval_seconds: float = 300.0
    # Of the whole audit's statements; longer than the web's, which a million orders would exceed.
    statement_timeout_seconds: int = 600
    # Rows shown of one check's violations; all are counted.
    rows_max: int = 20


@dataclass(frozen=True, kw_only=True)
class ReconciliationConf:
    interval_seconds: float = 60.0
    # What has been quiet for this long beyond the provider's in-flight horizon is compared.
    settled_seconds: float = 10.0


def conf() -> AuditConf:
    """The settings as they are now."""
    given = getattr(settings, "AUDIT", {})
    return AuditConf(**{f.name: given[f.name.upper()] for f in fields(AuditConf) if f.name.upper() in given})


def reconciliation() -> ReconciliationConf:
    """The settings as they are now."""
    given = getattr(settings, "RECONCILIATION", {})
    names = [f.name for f in fields(ReconciliationConf) if f.name.upper() in given]
    return ReconciliationConf(**{name: given[name.upper()] for name in names})


def bounds() -> dict[str, Any]:
    """What the service promises in figures: how long rows are kept, and what may take how long."""
    return {
        "messages_kept_days": settings.OUTBOX["RETENTION_DAYS"],
        "sagas_kept_days": settings.SAGAS["RETENTION_DAYS"],
        "keys_kept_hours": settings.IDEMPOTENCY["LIFETIME_HOURS"],
        "keys_required": settings.IDEMPOTENCY["REQUIRED"],
        "longest_wait_hours": settings.SAGAS["DEADLINE_HOURS"],
        "outside": list(settings.OUTBOX["DESTINATIONS"]),
    }
