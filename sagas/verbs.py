"""The operators' verbs as shells offer them: which can do something now, what helps, and why one did nothing.

Guarantee: a verb that changed nothing says "already done" only when somebody did it before; else NotApplicable says
why. Not guaranteed: that an offer still stands at the click; the verb looks again, under the saga's lock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils import timezone

from outbox import selectors as outbox
from outbox.acts import Person

from . import definition, operations, selectors
from .decisions import Case
from .definition import RemoteAction
from .exceptions import NotApplicable, UnknownDefinition
from .models import Saga, SagaStep

VERBS: Mapping[str, Callable[..., bool]] = {
    "retry": operations.retry,
    "resume": operations.resume,
    "skip": operations.skip,
    "compensate": operations.compensate,
    "cancel": operations.cancel,
    "resolve": operations.resolve,
}


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """The verbs that can do something to one saga now; of a stuck one, those that help, and why it is stuck."""

    offered: tuple[str, ...] = ()
    helpful: tuple[str, ...] = ()
    sentence: str = ""


def perform(name: str, saga_id: UUID, *, who: Person, reason: str, **answers: Any) -> bool:
    """Does a verb; False when it was done before. Raises NotApplicable when there was nothing to do it to."""
    changed = VERBS[name](saga_id, who=who, reason=reason, **answers)
    if not changed and not outbox.acted(name, "saga", saga_id):
        raise NotApplicable(f"not applicable: {_why_not(name, Saga.objects.get(pk=saga_id))}.")
    return changed


def guide(saga: Saga) -> Guidance:
    """What a person can do to this saga, by the rows as they are read now."""
    if not saga.is_live:
        return Guidance()
    try:
        case = _case(saga)
    except UnknownDefinition as error:
        return Guidance(sentence=str(error))
    offered = tuple(name for name in VERBS if _can(name, case))
    if saga.status != Saga.Status.NEEDS_ATTENTION:
        return Guidance(offered=offered)
    helpful = tuple(name for name in _remedies(case) if name in offered)
    because = saga.last_error or case.row.undo_error or case.row.error or f"{saga.current_step} did not end"
    return Guidance(
        offered=offered,
        helpful=helpful,
        sentence=f"Needs attention because of {because}. What helps: {' or '.join(helpful)}.",
    )


def _case(saga: Saga) -> Case:
    """The saga as a verb would see it, without its lock: for looking only."""
    known = definition.find(saga.name, saga.version)
    step = known.step(saga.current_step)
    rows = {row.name: row for row in saga.steps.all()}
    return Case(
        definition=known,
        saga=saga,
        steps=rows,
        step=step,
        row=rows.get(step.name) or SagaStep(saga=saga, name=step.name),
        undo=saga.goes_backward,
        now=timezone.now(),
    )


def _can(name: str, case: Case) -> bool:
    stuck = case.saga.status == Saga.Status.NEEDS_ATTENTION
    match name:
        case "retry":
            return stuck or _waits_for_later(case.saga)
        case "resume":
            return stuck and not _undo_failed(case)
        case "skip":
            return case.undo or not (case.step.pivot or case.may_have_happened)
        case "resolve":
            return isinstance(case.step.does(undo=case.undo), RemoteAction) and case.is_unresolved
    return not case.undo and not case.pivot_passed and (case.saga.cancel_requested_at is None or _turns(name, case))


def _turns(name: str, case: Case) -> bool:
    """Only compensate still does something after a wish to cancel, and only to a saga that stands still."""
    return name == "compensate" and case.saga.status == Saga.Status.NEEDS_ATTENTION


def _remedies(case: Case) -> tuple[str, ...]:
    if _undo_failed(case):
        return ("retry", "resolve")
    return ("resolve", "resume") if case.is_unresolved else ("resume",)


def _undo_failed(case: Case) -> bool:
    return case.undo and case.row.undo_status == SagaStep.UndoStatus.FAILED


def _waits_for_later(saga: Saga) -> bool:
    waiting = selectors.waits_for(saga)
    return waiting is not None and waiting.reading in {outbox.Reading.BACKING_OFF, outbox.Reading.SCHEDULED}


def _why_not(name: str, saga: Saga) -> str:
    if not saga.is_live:
        return f"the saga is {saga.status}"
    if name in {"compensate", "cancel"}:
        return "the saga goes backward already" if saga.goes_backward else "its cancel is asked for already"
    if name == "retry":
        return "what the saga waits for is due, or under way"
    return f"the saga is {saga.status.replace('_', ' ')} at {saga.current_step}"
