"""What a step can answer. Outcomes are values; exceptions are for the unexpected."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class Done:
    """The step's effect happened; `output` is kept with the step and shown in the timeline."""

    output: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """The step's effect will never happen: compensate. `reason` becomes the saga's reason, `error` says more."""

    reason: str
    error: str = ""


@dataclass(frozen=True)
class Retry:
    """Nothing happened: again, after the given time or by backoff, within the step's attempts."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True)
class Unknown:
    """It may have happened: ask (probe) before anything else; never guess (I13)."""

    reason: str


@dataclass(frozen=True)
class Absent:
    """The probe proved that nothing happened, after the in-flight horizon; given only while the saga wants to turn."""


Outcome = Done | Refused | Retry | Unknown | Absent
