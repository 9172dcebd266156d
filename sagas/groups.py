"""One verb on every saga that waits for a person at one step: what a night's outage leaves, put right together.

Guarantee: each saga in a transaction of its own, which also holds its operator act, and no more of them a second than
asked for; interrupted, what is done stays done, and the same call goes on with what still waits. Not guaranteed: that
every one of them changes: who was helped by somebody else meanwhile is counted apart, and a refusal costs only itself.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import OperationalError

from outbox.acts import Person

from . import verbs
from .exceptions import SagaError
from .models import Saga

# Those that every saga of a group can bear without a look at each: they only go on where it stopped.
VERBS = ("retry", "resume")
RATE_DEFAULT = 50
# More than that is the next call's.
SAGAS_MAX = 10_000
# So many errors of the database in a row are no row that somebody holds: it is gone.
ERRORS_IN_A_ROW_MAX = 3


@dataclass(kw_only=True)
class Report:
    """What became of them so far."""

    found: int = 0
    done: int = 0
    refused: list[str] = field(default_factory=list)
    errors_in_a_row: int = 0


def waiting_at(step: str) -> list[UUID]:
    """The sagas that wait for a person at this step, the oldest first, SAGAS_MAX + 1 at most.

    Index saga_needs_attention.
    """
    waiting = Saga.objects.filter(status=Saga.Status.NEEDS_ATTENTION, current_step=step).order_by("pk")
    return list(waiting.values_list("pk", flat=True)[: SAGAS_MAX + 1])


def perform(name: str, saga_id: UUID, *, who: Person, reason: str, report: Report) -> None:
    """Does a verb on one and reports it; what refuses it is told there, and costs the others nothing.

    Raises OperationalError when the database is gone.
    """
    report.found += 1
    try:
        report.done += verbs.perform(name, saga_id, who=who, reason=reason)
    except SagaError as refusal:
        report.refused.append(f"{saga_id}: {refusal}")
    except OperationalError as error:
        report.errors_in_a_row += 1
        if report.errors_in_a_row == ERRORS_IN_A_ROW_MAX:
            raise
        report.refused.append(f"{saga_id}: the database could not do it now, try again ({error}).")
        return
    report.errors_in_a_row = 0


def paced(saga_ids: Sequence[UUID], *, rate_per_second: int) -> Iterator[UUID]:
    """The same, no two of them closer than the rate allows: what was held up is not made good by a burst."""
    earliest = 0.0
    for saga_id in saga_ids:
        time.sleep(max(0.0, earliest - time.monotonic()))
        earliest = time.monotonic() + 1 / rate_per_second
        yield saga_id
