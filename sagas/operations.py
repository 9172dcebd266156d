"""Starting and cancelling sagas, and the verbs of operators: retry, resume, skip, compensate, cancel, resolve; purge.

Each act of a person leaves an OperatorAct in the same transaction. Locks are taken message first, then saga, like the
runner does. A verb replaces the message that the saga waits for, so a step under way turns stale and changes nothing
but the facts. A second click finds it done.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid_utils
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from outbox import operations as outbox
from outbox.operations import Person
from outbox.publisher import Command, publish_commands

from . import decisions, journal
from .conf import conf
from .decisions import Case
from .definition import STEP_DUE, Definition, RemoteAction, latest
from .exceptions import VerbRefused
from .models import Saga, SagaStep
from .outcomes import Absent, Outcome

BY_OPERATOR = "operator"


class CancelAnswer(Enum):
    REQUESTED = "requested"
    TOO_LATE = "too_late"
    NO_SAGA = "no_saga"


def start(name: str, subjects: Sequence[tuple[UUID, Mapping[str, Any]]]) -> int:
    """Starts one saga per subject that has none, in the caller's transaction; returns how many were started."""
    definition = latest(name)
    known = set(
        Saga.objects.filter(name=name, subject_id__in=[subject_id for subject_id, _ in subjects]).values_list(
            "subject_id", flat=True
        )
    )
    new = [(subject_id, data) for subject_id, data in subjects if subject_id not in known]
    commands = [_first_command(definition, subject_id) for subject_id, _ in new]
    Saga.objects.bulk_create(
        [
            _new_saga(definition, subject_id, data, command)
            for (subject_id, data), command in zip(new, commands, strict=True)
        ]
    )
    publish_commands(commands)
    return len(new)


def request_cancel(name: str, subject_id: UUID) -> CancelAnswer:
    """Notes the intent to cancel while the pivot has not committed, in the caller's transaction (F16).

    Under the saga's row lock, so the first to hold it wins: the pivot or the cancel. A step that waits is made due.
    """
    found = Saga.objects.filter(name=name, subject_id=subject_id).values_list("pk", "waiting_for").first()
    if found is None:
        return CancelAnswer.NO_SAGA
    case = journal.lock(found[0])
    if case.saga.status in {Saga.Status.COMPLETED, Saga.Status.COMPENSATED} or case.pivot_passed:
        return CancelAnswer.TOO_LATE
    _note_cancel(case, reason="")
    return CancelAnswer.REQUESTED


def retry(saga_id: UUID, *, who: Person, reason: str) -> bool:
    """Tries the current step again now, with all its attempts; in a compensation, everything that failed."""

    def verb(case: Case) -> bool:
        if case.saga.status == Saga.Status.RUNNING:
            return bool(case.saga.waiting_for and outbox.hasten(case.saga.waiting_for))
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

    `step` is the one that the person saw: when the saga has moved on, by a first click, nothing is done.
    """

    def verb(case: Case) -> bool:
        if step not in {None, case.step.name}:
            return False
        _replace_message(case)
        if case.undo:
            case.row.undo_status = SagaStep.UndoStatus.SKIPPED
            case.row.undo_finished_at = case.now
            decisions.go_on_backward(case)
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
    """Turns a saga back by hand; a step whose outcome is unknown is asked about first (I13)."""

    def verb(case: Case) -> bool:
        if case.pivot_passed:
            raise VerbRefused("The saga is past its pivot: there is no way back.")
        running = case.saga.status == Saga.Status.RUNNING
        if case.undo or (running and case.saga.cancel_requested_at is not None):
            return False
        _note_cancel(case, reason=BY_OPERATOR)
        if running:
            return True
        case.saga.reason = BY_OPERATOR
        _extend_deadline(case)
        case.saga.status = Saga.Status.RUNNING
        if case.may_have_happened:
            case.next_command = (case.step.name, False)
        else:
            decisions.turn(case, BY_OPERATOR)
        return True

    return _by_person("compensate", saga_id, verb, who=who, reason=reason)


def cancel(saga_id: UUID, *, who: Person, reason: str) -> bool:
    """Cancels as the customer would."""

    def verb(case: Case) -> bool:
        if case.pivot_passed:
            raise VerbRefused("The saga is past its pivot: it cannot be cancelled.")
        if case.saga.cancel_requested_at is not None:
            return False
        _note_cancel(case, reason="")
        return True

    return _by_person("cancel", saga_id, verb, who=who, reason=reason)


def resolve(saga_id: UUID, *, happened: str | None, who: Person, reason: str) -> bool:
    """Says what became of a remote step whose outcome nobody could find out.

    `happened` is the provider's reference of what happened; None says that nothing happened.
    """

    def verb(case: Case) -> bool:
        action = case.step.does(undo=case.undo)
        if not isinstance(action, RemoteAction) or not case.is_unresolved:
            raise VerbRefused(f"{case.step.name} has no unknown outcome to resolve.")
        _replace_message(case)
        run = case.run()
        intent = action.note([run])[run.saga_id]
        answer = action.receipt(intent, happened) if happened else Absent()
        case.saga.status = Saga.Status.RUNNING
        _extend_deadline(case)
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


def purge(
    *, older_than: timedelta | None = None, batch_size: int = outbox.PURGE_BATCH_SIZE, dry_run: bool = False
) -> int:
    """Deletes sagas that ended longer ago than that, with their steps; returns how many (I14)."""
    ended_before = timezone.now() - (older_than or timedelta(days=conf().retention_days))
    ended = Saga.objects.filter(status__in=[Saga.Status.COMPLETED, Saga.Status.COMPENSATED], ended_at__lt=ended_before)
    if dry_run:
        return ended.count()
    total = 0
    while batch := list(ended.order_by("pk").values_list("pk", flat=True)[:batch_size]):
        Saga.objects.filter(pk__in=batch).delete()
        total += len(batch)
    return total


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
        detail = {"step": case.step.name, "was": before}
        outbox.act(who=who, verb=name, target=("saga", str(saga_id)), reason=reason, **detail)
    return changed


def _continue(case: Case) -> bool:
    """From a person's attention back to work."""
    case.saga.status = Saga.Status.RUNNING
    _extend_deadline(case)
    if case.undo:
        decisions.go_on_backward(case)
    else:
        case.next_command = (case.step.name, False)
    return True


def _reset_attempts(case: Case) -> None:
    if not case.undo:
        case.row.attempts = 0
        case.touched.add(case.row.name)
        return
    for row in case.steps.values():
        if row.undo_status == SagaStep.UndoStatus.FAILED:
            row.undo_status = SagaStep.UndoStatus.NONE
            row.undo_attempts = 0
            case.touched.add(row.name)


def _replace_message(case: Case) -> None:
    """What the saga waited for is withdrawn; a runner at work on it turns stale (I6)."""
    case.touched.add(case.row.name)
    if case.saga.waiting_for is not None:
        outbox.withdraw(case.saga.waiting_for)
    if case.saga.status == Saga.Status.NEEDS_ATTENTION:
        case.saga.status = Saga.Status.RUNNING
        _extend_deadline(case)


def _note_cancel(case: Case, *, reason: str) -> None:
    changes: dict[str, Any] = {"cancel_requested_at": Now()}
    if reason:
        changes["reason"] = case.saga.reason = reason
    Saga.objects.filter(pk=case.saga.pk, cancel_requested_at=None).update(**changes)
    if case.saga.waiting_for is not None:
        outbox.hasten(case.saga.waiting_for)


def _extend_deadline(case: Case) -> None:
    Saga.objects.filter(pk=case.saga.pk).update(deadline_at=Now() + timedelta(hours=conf().deadline_hours))


def _first_command(definition: Definition, subject_id: UUID) -> Command:
    step = definition.steps[0].name
    return Command(
        destination=definition.destination(step, undo=False),
        type=STEP_DUE,
        aggregate_type="saga",
        aggregate_id=uuid_utils.uuid7(),
        correlation_id=subject_id,
        payload={"saga": definition.name, "step": step},
    )


def _new_saga(definition: Definition, subject_id: UUID, data: Mapping[str, Any], command: Command) -> Saga:
    return Saga(
        id=command.aggregate_id,
        name=definition.name,
        version=definition.version,
        subject_id=subject_id,
        current_step=definition.steps[0].name,
        data=dict(data),
        data_version=definition.data_version,
        waiting_for=command.message_id,
        deadline_at=Now() + timedelta(hours=conf().deadline_hours),
    )
