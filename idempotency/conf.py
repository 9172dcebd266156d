"""The settings of idempotency, frozen, with units in their names."""

from dataclasses import dataclass, fields
from datetime import timedelta

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class IdempotencyConf:
    lifetime_hours: float = 24.0
    # True: an unsafe request without an Idempotency-Key is a 400.
    required: bool = False
    stored_answer_max_bytes: int = 65_536
    # Request threads of one process, and the share of them that may wait for twins.
    request_threads: int = 16
    waiting_threads_max_share: float = 0.25

    @property
    def lifetime(self) -> timedelta:
        return timedelta(hours=self.lifetime_hours)

    @property
    def waiting_threads_max(self) -> int:
        return max(1, int(self.request_threads * self.waiting_threads_max_share))


def conf() -> IdempotencyConf:
    """The settings as they are now (read anew, so that override_settings works in tests)."""
    given = settings.IDEMPOTENCY
    return IdempotencyConf(
        **{f.name: given[f.name.upper()] for f in fields(IdempotencyConf) if f.name.upper() in given}
    )
