"""The journal: reads sagas under their row locks and writes what was decided, set-based, in the runner's transaction.

Guarantee: a step runs only when its saga waits for exactly this message (I6), and a decision is written by one guarded
UPDATE that must touch every row it was computed for (S12). Locks are taken in id order. Not guaranteed: that anything
is written at all; the caller's transaction decides that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models.functions import Now

from outbox import operations as outbox
from outbox.envelope import Message
from outbox.json_rows import as_json, recordset
from outbox.publisher import Command, publish_commands

from . import telemetry
from .conf import conf
from .decisions import Case
from .definition import STEP_DUE, UNDO, Definition, Ended, find
from .exceptions import SagaMoves, StaleSaga, VerbRefused
from .models import Saga, SagaStep

# A saga that takes a step between our two reads, this many times in a row, is asked to wait.
LOCK_TRIES = 5

SAGA_COLUMNS = {
    "id": "uuid",
    "expected": "uuid",
    "status": "text",
    "direction": "text",
    "current_step": "text",
    "reason": "text",
    "waiting_for": "uuid",
    "last_error": "text",
    "ended_at": "timestamptz",
}
STEP_COLUMNS = {
    "saga_id": "uuid",
    "name": "text",
    "position": "smallint",
    "status": "text",
    "attempts": "smallint",
    "started_at": "timestamptz",
    "called_at": "timestamptz",
    "finished_at": "timestamptz",
    "output": "jsonb",
    "error": "text",
    "undo_status": "text",
    "undo_attempts": "smallint",
    "undo_started_at": "timestamptz",
    "undo_called_at": "timestamptz",
    "undo_finished_at": "timestamptz",
    "undo_output": "jsonb",
    "undo_error": "text",
    "undo_refusals": "smallint",
}
_UPDATED = [column for column in STEP_COLUMNS if column not in {"saga_id", "name", "position"}]
SAVE_STEPS = f"""
INSERT INTO sagas_sagastep ({", ".join(STEP_COLUMNS)})
SELECT {", ".join(STEP_COLUMNS)} FROM {recordset(STEP_COLUMNS)}
ON CONFLICT (saga_id, name) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in _UPDATED)}
"""
# One round trip for both. The count is of the sagas: S12, each must still wait for what it was loaded with.
SAVE = f"""
WITH steps AS ({SAVE_STEPS})
UPDATE sagas_saga s
SET status = new.status, direction = new.direction, current_step = new.current_step, reason = new.reason,
    waiting_for = new.waiting_for, last_error = new.last_error, ended_at = new.ended_at
FROM {recordset(SAGA_COLUMNS)}
WHERE s.id = new.id AND s.waiting_for IS NOT DISTINCT FROM new.expected
"""


class StatementTimestamp(models.Func):
    """The database's clock, at this statement."""

    template = "statement_timestamp()"
    output_field = models.DateTimeField()


def hold(saga_ids: Sequence[UUID]) -> None:
    """Locks sagas, in id order, until the caller's transaction ends."""
    list(Saga.objects.select_for_update().filter(pk__in=saga_ids).order_by("pk").values_list("pk", flat=True))


def load(messages: Sequence[Message], *, step: str, undo: bool) -> list[Case]:
    """Locks the messages' sagas and returns a case for each that still waits for its message.

    A saga on its way forward comes with the step it takes alone: `recall` the others of one that may turn.
    """
    by_saga = {message.aggregate_id: message for message in messages}
    cases = []
    for saga, now in _locked(list(by_saga)):
        message = by_saga[saga.pk]
        if saga.waiting_for == message.message_id and saga.status == Saga.Status.RUNNING:
            cases.append(_case(saga, step=step, undo=undo, now=now, message=message))
    turning = [case for case in cases if undo or case.saga.cancel_requested_at is not None]
    _add_steps(cases, SagaStep.objects.filter(saga_id__in=[case.saga.pk for case in cases], name=step))
    recall(turning)
    return cases


def recall(cases: Sequence[Case]) -> None:
    """Reads the steps that these sagas have taken: whoever turns must know what there is to undo."""
    unread = [case for case in cases if not case.knows_all_steps]
    if unread:
        _add_steps(unread, SagaStep.objects.filter(saga_id__in=[case.saga.pk for case in unread]))
    for case in unread:
        case.knows_all_steps = True


def load_for_verb(saga_id: UUID, *, step: str | None = None) -> Case | None:
    """One saga under its lock, at its current step (or another), for an operator's verb or the sweep."""
    for saga, now in _locked([saga_id]):
        case = _case(saga, step=step or saga.current_step, undo=saga.goes_backward, now=now, message=None)
        recall([case])
        return case
    return None


def lock(saga_id: UUID) -> Case:
    """The saga under its lock, its open message locked before it, in the runner's order.

    Raises VerbRefused when there is none, SagaMoves when it takes steps faster than it can be locked.
    """
    for _ in range(LOCK_TRIES):
        with transaction.atomic():
            waiting_for = Saga.objects.filter(pk=saga_id).values_list("waiting_for", flat=True).first()
            if waiting_for is not None:
                outbox.hold_open(waiting_for)
            case = load_for_verb(saga_id)
            if case is None:
                raise VerbRefused(f"There is no saga {saga_id}.")
            if case.saga.waiting_for == waiting_for:
                return case
            # It took a step between the two reads. Undo this savepoint, which lets both locks go, and look again.
            transaction.set_rollback(True)
    raise SagaMoves(f"Saga {saga_id} is moving: try again in a moment.")


def deadline() -> models.Expression:
    """When a saga that begins, or goes on, now is given to a person."""
    return Now() + timedelta(hours=conf().deadline_hours)


def extend_deadline(case: Case) -> None:
    Saga.objects.filter(pk=case.saga.pk).update(deadline_at=deadline())


def save(cases: Sequence[Case]) -> None:
    """Writes sagas, steps and the next messages; then tells owners of sagas that have ended compensated.

    Raises StaleSaga when a saga is not as it was loaded.
    """
    if not cases:
        return
    expected = [case.saga.waiting_for for case in cases]
    commands = [command for case in cases if (command := _next_command(case))]
    # A step leaves the message it waited for only for the next one, or for the end.
    for case in cases:
        if case.saga.status != Saga.Status.RUNNING:
            case.saga.waiting_for = None
    _save(cases, expected)
    publish_commands(commands)
    _tell_owners(cases)
    telemetry.observe(cases)


def save_attempts(cases: Sequence[Case]) -> None:
    """Writes steps that were begun and not decided; their sagas, locked since `load`, stay as they are."""
    if cases:
        with connection.cursor() as cursor:
            cursor.execute(SAVE_STEPS, [as_json(_steps_of(cases))])


def command_for(case: Case, *, step: str, undo: bool) -> Command:
    """The message that makes a step due; its id becomes what the saga waits for."""
    saga = case.saga
    return Command(
        destination=case.definition.destination(step, undo=undo),
        type=STEP_DUE,
        aggregate_type="saga",
        aggregate_id=saga.pk,
        correlation_id=saga.subject_id,
        payload={"saga": saga.name, "step": f"{step}{UNDO if undo else ''}"},
        causation_id=case.message.message_id if case.message else None,
    )


def _next_command(case: Case) -> Command | None:
    if case.next_command is None:
        return None
    step, undo = case.next_command
    command = command_for(case, step=step, undo=undo)
    case.saga.waiting_for = command.message_id
    return command


def _locked(ids: Sequence[UUID]) -> list[tuple[Saga, datetime]]:
    # One moment for the whole batch, by the database's clock (F6).
    rows = Saga.objects.select_for_update().filter(pk__in=ids).order_by("pk").annotate(now=StatementTimestamp())
    return [(saga, saga.now) for saga in rows]


def _case(saga: Saga, *, step: str, undo: bool, now: datetime, message: Message | None) -> Case:
    definition = find(saga.name, saga.version)
    return Case(
        definition=definition,
        saga=saga,
        steps={},
        step=definition.step(step),
        row=_new_row(saga, definition, step),
        undo=undo,
        now=now,
        message=message,
        knows_all_steps=False,
    )


def _add_steps(cases: Sequence[Case], rows: Iterable[SagaStep]) -> None:
    """A row that is known already may have been changed since, and stays."""
    by_saga = {case.saga.pk: case for case in cases}
    for row in rows:
        by_saga[row.saga_id].steps.setdefault(row.name, row)
    for case in cases:
        case.row = case.steps.setdefault(case.step.name, case.row)


def _new_row(saga: Saga, definition: Definition, step: str) -> SagaStep:
    return SagaStep(saga_id=saga.pk, name=step, position=definition.position(step))


def _save(cases: Sequence[Case], expected: Sequence[UUID | None]) -> None:
    sagas = [_saga_values(case.saga, waited_for) for case, waited_for in zip(cases, expected, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(SAVE, [as_json(_steps_of(cases)), as_json(sagas)])
        if cursor.rowcount != len(sagas):
            raise StaleSaga(f"{len(sagas) - cursor.rowcount} of {len(sagas)} sagas moved on meanwhile.")


def _steps_of(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """What was touched of these sagas."""
    rows = [case.steps[name] for case in cases for name in sorted(case.touched)]
    return [{name: getattr(row, name) for name in STEP_COLUMNS} for row in rows]


def _saga_values(saga: Saga, waited_for: UUID | None) -> dict[str, Any]:
    return {
        "id": saga.pk,
        "expected": waited_for,
        "status": saga.status,
        "direction": saga.direction,
        "current_step": saga.current_step,
        "reason": saga.reason,
        "waiting_for": saga.waiting_for,
        "last_error": saga.last_error,
        "ended_at": saga.ended_at,
    }


def _tell_owners(cases: Sequence[Case]) -> None:
    """Tells each definition which of its sagas have ended with every effect undone, in one call per definition."""
    ended = [case for case in cases if case.ended and case.saga.status == Saga.Status.COMPENSATED]
    for definition in {id(case.definition): case.definition for case in ended}.values():
        definition.on_compensated(
            [
                Ended(
                    saga_id=case.saga.pk,
                    subject_id=case.saga.subject_id,
                    reason=case.saga.reason,
                    data=definition.upcast(case.saga.data, case.saga.data_version),
                )
                for case in ended
                if case.definition is definition
            ]
        )
