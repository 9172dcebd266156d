"""The saga engine's settings, frozen, with units in their names."""

from dataclasses import dataclass, fields

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class SagasConf:
    step_max_attempts: int = 8
    deadline_hours: float = 24.0
    sweep_interval_seconds: float = 5.0
    retention_days: int = 7


def conf() -> SagasConf:
    """The settings as they are now."""
    given = settings.SAGAS
    return SagasConf(**{f.name: given[f.name.upper()] for f in fields(SagasConf) if f.name.upper() in given})
