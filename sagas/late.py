"""Late success: a step that was given up, or overtaken, turns out to have happened.

Guarantee: it is never left standing. A saga that goes backward will undo it; one that has ended compensated goes
backward once more, with a new deadline (F13); one that is purged already is written anew, under the id it had, so that
the undo has the key it would have had (I3). Not guaranteed: anything after the saga completed; then the effect is the
one that counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from . import decisions, journal
from .decisions import Case
from .definition import latest
from .models import Saga, SagaStep
from .outcomes import Done, Outcome


@dataclass(frozen=True, kw_only=True)
class Purged:
    """A saga that had ended compensated and is no more: what its owner still knows of it."""

    saga_id: UUID
    subject_id: UUID
    data: Mapping[str, Any]
    reason: str


def saga_of_key(key: str, step: str) -> UUID | None:
    """The saga behind a provider's key of a step's action (StepRun.key); None for any other key."""
    identity, _, named = key.partition(":")
    try:
        return UUID(identity) if named == step and identity == str(UUID(identity)) else None
    except ValueError:
        return None


def adopt(step: str, outcomes: Mapping[UUID, Outcome]) -> int:
    """Adopts what happened after all, by saga id, inside the caller's transaction; returns how many were news."""
    happened = {saga_id: outcome for saga_id, outcome in outcomes.items() if isinstance(outcome, Done)}
    news = [case for saga_id in sorted(happened) if (case := _news(saga_id, step, happened[saga_id]))]
    journal.save(news)
    return len(news)


def adopt_of_subjects(name: str, step: str, subject_ids: Sequence[UUID]) -> set[UUID]:
    """The same for sagas known by their subjects: somebody else found out (a webhook) what the runner could not.

    Returns the subjects that have no saga (any more): what happened to them is left to the caller.
    """
    # Locked before it is looked at, so that a purge either comes after the revival or leaves nothing to find.
    sagas = Saga.objects.select_for_update().filter(name=name, subject_id__in=subject_ids).order_by("pk")
    found = dict(sagas.values_list("subject_id", "pk"))
    adopt(step, {saga_id: Done() for saga_id in found.values()})
    return set(subject_ids) - found.keys()


def _news(saga_id: UUID, step: str, outcome: Done) -> Case | None:
    case = journal.load_for_verb(saga_id, step=step)
    if case is None or not case.saga.goes_backward or case.row.status == SagaStep.Status.DONE:
        # Forward, another runner is at it and will find it by its probe.
        return None
    case.row.status = SagaStep.Status.DONE
    case.row.started_at = case.row.started_at or case.now
    case.row.finished_at = case.now
    case.row.output = outcome.output
    case.touched.add(case.row.name)
    if case.saga.status == Saga.Status.COMPENSATED:
        case.saga.status = Saga.Status.RUNNING
        case.saga.ended_at = None
        journal.extend_deadline(case)
        decisions.go_on_backward(case)
    return case


def revive(name: str, step: str, purged: Sequence[Purged]) -> None:
    """Writes purged sagas anew as they had ended, and adopts what happened after all; in the caller's transaction.

    The unique (name, subject) refuses a second one: whoever comes at the same moment fails, tries again and finds it.
    """
    definition = latest(name)
    Saga.objects.bulk_create(
        [
            Saga(
                id=one.saga_id,
                name=definition.name,
                version=definition.version,
                subject_id=one.subject_id,
                status=Saga.Status.COMPENSATED,
                direction=Saga.Direction.BACKWARD,
                current_step=step,
                reason=one.reason,
                data=dict(one.data),
                data_version=definition.data_version,
                deadline_at=journal.deadline(),
                ended_at=Now(),
            )
            for one in purged
        ]
    )
    adopt(step, {one.saga_id: Done() for one in purged})
