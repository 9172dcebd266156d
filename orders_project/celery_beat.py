"""Celery's persistent scheduler, which forgets what it remembers from the future.

Guarantee: whatever beat's clock or its schedule file says, a tick waits no longer than its interval (F6). Without this
a clock that is put back, or a file written while it was ahead, keeps beat silent until the old time comes round again.
"""

from datetime import datetime
from typing import Any

import structlog
from celery import beat
from celery.utils.time import maybe_make_aware

log = structlog.get_logger(__name__)


class Scheduler(beat.PersistentScheduler):
    def tick(self, *arguments: Any, **named: Any) -> float:
        self._forget_the_future()
        seconds: float = super().tick(*arguments, **named)
        return seconds

    def _forget_the_future(self) -> None:
        entries: list[Any] = list(self.schedule.values())  # Celery's types forget that an entry is told its last run
        ahead = [entry for entry in entries if _aware(entry.last_run_at) > _aware(entry.default_now())]
        if not ahead:
            return
        log.warning("celery.beat_clock_went_back", ticks=sorted(entry.name for entry in ahead))
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        # The order in which ticks are due was told by the old clock too.
        self._heap = None


def _aware(moment: datetime) -> datetime:
    aware: datetime = maybe_make_aware(moment)
    return aware
