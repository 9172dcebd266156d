"""Late success: a step that was given up, or overtaken, turns out to have happened.

Guarantee: it is never left standing. A saga that goes backward will undo it; one that has ended compensated goes
backward once more, with a new deadline (F13). Not guaranteed: anything after the saga completed; then the effect is the
one that counts. Nothing can be undone without a saga: whoever finds that out too late for it is told so.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from . import decisions, journal
from .decisions import Case
from .models import Saga, SagaStep
from .outcomes import Done, Outcome


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
