"""One verb on every saga that waits for a person at one step: what a night's outage leaves, put right together.

Guarantee: each saga in a transaction of its own, which also holds its operator act, and no more of them a second than
asked for; interrupted, what is done stays done, and the same call goes on with what still waits. Not guaranteed: that
every one of them changes: who was helped by somebody else meanwhile is counted apart, and a refusal costs only itself.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import OperationalError, connection

from outbox.acts import Person

from . import verbs
from .exceptions import SagaError
from .models import Saga

# Those that every saga of a group can bear without a look at each: they only go on where it stopped.
VERBS = ("retry", "resume")
RATE_DEFAULT = 50
# More than that is the next call's.
SAGAS_MAX = 10_000


@dataclass(kw_only=True)
class Report:
    """What became of them."""

    found: int = 0
    done: int = 0
    refused: list[str] = field(default_factory=list)


def waiting_at(step: str) -> list[UUID]:
    """The sagas that wait for a person at this step, the oldest first. Index saga_needs_attention."""
    waiting = Saga.objects.filter(status=Saga.Status.NEEDS_ATTENTION, current_step=step).order_by("pk")
    return list(waiting.values_list("pk", flat=True)[:SAGAS_MAX])


def perform(name: str, saga_ids: Iterable[UUID], *, who: Person, reason: str) -> Report:
    """Does a verb on each; one that refuses is told, and the others go on."""
    report = Report()
    for saga_id in saga_ids:
        report.found += 1
        try:
            report.done += verbs.perform(name, saga_id, who=who, reason=reason)
        except SagaError as refusal:
            report.refused.append(f"{saga_id}: {refusal}")
        except OperationalError as error:
            if not connection.is_usable():
                raise
            report.refused.append(f"{saga_id}: the database could not do it now, try again ({error}).")
    return report


def paced(saga_ids: Sequence[UUID], *, rate_per_second: int, told: Callable[[], object]) -> Iterator[UUID]:
    """The same, no more than so many a second; `told` hears of each that is through."""
    began = time.monotonic()
    for number, saga_id in enumerate(saga_ids):
        time.sleep(max(0.0, began + number / rate_per_second - time.monotonic()))
        yield saga_id
        told()
