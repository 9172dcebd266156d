"""The verbs of operators: retry, resume, skip, compensate, cancel, resolve.

Each act of a person leaves an OperatorAct in the same transaction. Locks are taken message first, then saga, like the
runner does. A verb replaces the message that the saga waits for, so a step under way turns stale and changes nothing
but the facts. A second click finds it done.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from outbox import acts
from outbox import operations as outbox
from outbox.acts import Person
from providers import gate as providers

from . import decisions, journal, lifecycle
from .decisions import Case
from .definition import RemoteAction
from .exceptions import VerbRefused
from .models import Saga, SagaStep
from .outcomes import Absent, Outcome

BY_OPERATOR = "operator"


def retry(saga_id: UUID, *, who: Person, reason: str) -> bool:
    """Tries the current step again now, with all its attempts; in a compensation, everything that failed.

    A compensation that was refused is asked for under a new key. Raises VerbRefused while the refused call may still
    be in flight: the two could both take effect (I13).
    """

    def verb(case: Case) -> bool:
        if case.saga.status == Saga.Status.RUNNING:
            hastened = bool(case.saga.waiting_for and outbox.hasten(case.saga.waiting_for))
            if hastened:
                _reset_attempts(case)
            return hastened
        _reset_attempts(case)
        return _continue(case)

    return _by_person("retry", saga_id, verb, who=who, reason=reason)


def resume(saga_id: UUID, *, who: Person, reason: str) -> bool:
    """Goes on where a saga that needs attention stopped, with a new deadline and the attempts it has left."""

    def verb(case: Case) -> bool:
        if case.saga.status != Saga.Status.NEEDS_ATTENTION:
            return False
        _continue(case)
        if case.saga.status == Saga.Status.NEEDS_ATTENTION:
            raise VerbRefused(f"The compensation of {case.saga.current_step} has failed: retry, resolve or skip it.")
        return True

    return _by_person("resume", saga_id, verb, who=who, reason=reason)


def skip(saga_id: UUID, *, who: Person, reason: str, step: str | None = None) -> bool:
    """Goes on as if the current step, or its compensation, needed no doing.

    Whoever skips a compensation answers for its effect: the saga ends, and says that this one was not undone (I8).
    `step` is the one that the person saw: when the saga has moved on, by a first click, nothing is done.
    """

    def verb(case: Case) -> bool:
        if step not in {None, case.step.name}:
            return False
        _replace_message(case)
        if case.undo:
            decisions.skip_undo(case)
            return True
        if case.step.pivot:
            raise VerbRefused(f"{case.step.name} is the pivot: without it the saga has done nothing.")
        if case.may_have_happened:
            raise VerbRefused(f"Nobody knows whether {case.step.name} happened: resolve it first.")
        case.row.status = SagaStep.Status.SKIPPED
        case.row.finished_at = case.now
        decisions.go_on_forward(case)
        return True

    return _by_person("skip", saga_id, verb, who=who, reason=reason)


def compensate(saga_id: UUID, *, who: Person, reason: str) -> bool:
    """Turns a saga back by hand; a step whose outcome is unknown is asked about first (I13).

    The order ends rejected, or cancelled where its customer had asked for that first.
    """

    def verb(case: Case) -> bool:
        if case.pivot_passed:
            raise VerbRefused("The saga is past its pivot: there is no way back.")
        running = case.saga.status == Saga.Status.RUNNING
        if case.undo or (running and case.saga.cancel_requested_at is not None):
            return False
        # The first wish counts: an order that its customer had cancelled ends cancelled, not rejected.
        lifecycle.note_cancel(case, reason=BY_OPERATOR)
        if running:
            return True
        journal.extend_deadline(case)
        case.saga.status = Saga.Status.RUNNING
        if case.may_have_happened:
            case.next_command = (case.step.name, False)
        else:
            decisions.turn(case, decisions.CANCELLED)
        return True

    return _by_person("compensate", saga_id, verb, who=who, reason=reason)


def cancel(saga_id: UUID, *, who: Person, reason: str) -> bool:
    """Cancels as the customer would."""

    def verb(case: Case) -> bool:
        if case.pivot_passed:
            raise VerbRefused("The saga is past its pivot: it cannot be cancelled.")
        if case.saga.cancel_requested_at is not None:
            return False
        lifecycle.note_cancel(case, reason="")
        return True

    return _by_person("cancel", saga_id, verb, who=who, reason=reason)


def resolve(saga_id: UUID, *, happened: str | None, who: Person, reason: str, step: str | None = None) -> bool:
    """Says what became of a remote step whose outcome nobody could find out.

    `happened` is the provider's reference of what happened; None says that nothing happened. `step` is the one that the
    person looked up: when the saga is at another by now, that one's outcome is not what they know, and nothing is done.
    """

    def verb(case: Case) -> bool:
        if step not in {None, case.step.name}:
            return False
        action = case.step.does(undo=case.undo)
        if not isinstance(action, RemoteAction) or not case.is_unresolved:
            raise VerbRefused(f"{case.step.name} has no unknown outcome to resolve.")
        _replace_message(case)
        run = case.run()
        intent = action.note([run])[run.saga_id]
        answer = action.receipt(intent, happened) if happened else Absent()
        case.saga.status = Saga.Status.RUNNING
        journal.extend_deadline(case)
        decisions.decide(case, _record_resolved(action, intent, answer))
        if case.later is not None:
            case.later = None
            case.next_command = (case.step.name, case.undo)
        return True

    return _by_person("resolve", saga_id, verb, who=who, reason=reason)


def _record_resolved(action: RemoteAction, intent: Any, answer: object) -> Outcome:
    """Raises VerbRefused for a reference that already stands for something else."""
    try:
        with transaction.atomic():
            return action.record([(intent, answer)])[0]
    except IntegrityError as error:
        raise VerbRefused(
            "That reference is already on record for something else: check it with the provider."
        ) from error


@transaction.atomic
def _by_person(name: str, saga_id: UUID, verb: Callable[[Case], bool], *, who: Person, reason: str) -> bool:
    """Locks, does, writes, and leaves the operator act; returns whether anything changed."""
    case = journal.lock(saga_id)
    if not case.saga.is_live:
        return False
    before = case.saga.status
    changed = verb(case)
    if changed:
        journal.save([case])
        detail = {"step": case.step.name, "was": before, "subject": str(case.saga.subject_id)}
        acts.act(who=who, verb=name, target=("saga", str(saga_id)), reason=reason, **detail)
    return changed


def _continue(case: Case) -> bool:
    """From a person's attention back to work."""
    case.saga.status = Saga.Status.RUNNING
    journal.extend_deadline(case)
    if case.undo:
        decisions.go_on_backward(case)
    else:
        case.next_command = (case.step.name, False)
    return True


def _reset_attempts(case: Case) -> None:
    """All attempts, and the time, that the step may take; whatever became of those so far."""
    if not case.undo and case.row.started_at is None:
        # It has taken none: there is no row of a step that never ran.
        return
    case.touched.add(case.row.name)
    if not case.undo:
        case.row.attempts = 0
        case.row.started_at = None
        return
    case.row.undo_attempts = 0
    for row in case.steps.values():
        if row.undo_status == SagaStep.UndoStatus.FAILED:
            _refuse_while_in_flight(case, row)
            row.undo_status = SagaStep.UndoStatus.NONE
            row.undo_attempts = 0
            case.touched.add(row.name)


def _refuse_while_in_flight(case: Case, row: SagaStep) -> None:
    provider = case.definition.step(row.name).provider
    if provider is None or row.undo_called_at is None or not row.undo_refusals:
        return
    if case.now - row.undo_called_at <= providers.gate(provider).in_flight_horizon:
        raise VerbRefused(f"The refused compensation of {row.name} may still be in flight: try again in a moment.")


def _replace_message(case: Case) -> None:
    """What the saga waited for is withdrawn; a runner at work on it turns stale (I6)."""
    case.touched.add(case.row.name)
    if case.saga.waiting_for is not None:
        outbox.withdraw(case.saga.waiting_for)
    if case.saga.status == Saga.Status.NEEDS_ATTENTION:
        case.saga.status = Saga.Status.RUNNING
        journal.extend_deadline(case)
