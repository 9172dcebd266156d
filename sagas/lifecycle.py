"""A saga's beginning, a customer's wish to cancel it, and its removal long after its end.

Guarantee: one saga per name and subject; a wish is noted before the pivot or not at all (F16); a purge removes nothing
that is unfinished or younger than its retention, by the database's clock and under the rows' locks (I14).
Not guaranteed: that a saga whose cancel was noted has turned when the note returns.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from outbox import operations as outbox
from outbox.json_rows import as_json, recordset
from outbox.publisher import Command, publish_commands

from . import journal, summary
from .conf import conf
from .decisions import Case
from .definition import STEP_DUE, Definition, latest
from .identity import saga_id
from .models import Saga, SagaStep

COLUMNS = {
    "id": "uuid",
    "name": "text",
    "version": "smallint",
    "subject_id": "uuid",
    "current_step": "text",
    "data": "jsonb",
    "data_version": "smallint",
    "waiting_for": "uuid",
}
START = f"""
INSERT INTO sagas_saga ({", ".join(COLUMNS)}, status, direction, reason, last_error, deadline_at)
SELECT {", ".join(COLUMNS)}, 'running', 'forward', '', '', statement_timestamp() + make_interval(secs => %s)
FROM {recordset(COLUMNS)}
"""

ENDED = [Saga.Status.COMPLETED, Saga.Status.COMPENSATED]


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
    _insert([_new_saga(definition, data, command) for (_, data), command in zip(new, commands, strict=True)])
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
    if case.saga.status in ENDED or case.pivot_passed:
        return CancelAnswer.TOO_LATE
    note_cancel(case)
    return CancelAnswer.REQUESTED


def note_cancel(case: Case, *, reason: str = "") -> None:
    """Notes the first wish, with its reason, and makes a waiting step due so that the saga turns there.

    A later wish changes nothing, and one of a saga that goes backward hastens nothing: a compensation keeps its waits,
    and so its attempts, whoever asks how often.
    """
    changes: dict[str, Any] = {"cancel_requested_at": Now()}
    if reason:
        changes["reason"] = reason
    if not Saga.objects.filter(pk=case.saga.pk, cancel_requested_at=None).update(**changes):
        return
    case.saga.reason = reason or case.saga.reason
    if case.saga.waiting_for is not None and not case.saga.goes_backward:
        outbox.hasten(case.saga.waiting_for)


def purge(
    *,
    older_than: timedelta | None = None,
    batch_size: int = outbox.PURGE_BATCH_SIZE,
    dry_run: bool = False,
    told: outbox.Told = outbox.nobody_asks,
) -> int:
    """Deletes sagas that ended longer ago than that, with their steps; returns how many (I14).

    Each leaves a line with its owner.
    """
    age = timedelta(days=conf().retention_days) if older_than is None else older_than
    ended = Saga.objects.filter(status__in=ENDED, ended_at__lt=Now() - age)
    if dry_run:
        return ended.count()
    total, after = 0, None
    while page := _oldest(after, age, batch_size):
        purged = _purge_batch(ended.filter(pk__in=[pk for pk, _ in page]).order_by("pk"))
        total += purged
        told(purged)
        after, is_young = page[-1]
        if is_young:
            break
    return total


def _oldest(after: UUID | None, age: timedelta, limit: int) -> list[tuple[UUID, bool]]:
    """The next sagas by id, each with whether it began within this age: what follows such a one ended within it too.

    By the primary key (UUIDv7), so a purge that finds nothing reads one page and not the table. The id tells when the
    order was placed: one whose saga began days later may keep those behind it until it is of age itself.
    """
    sagas = Saga.objects.all() if after is None else Saga.objects.filter(pk__gt=after)
    is_young = ExpressionWrapper(Q(started_at__gte=Now() - age), output_field=BooleanField())
    return list(sagas.order_by("pk").values_list("pk", is_young)[:limit])


@transaction.atomic
def _purge_batch(ended: QuerySet[Saga]) -> int:
    # Locked while the predicate holds: a late success that revives one comes before the lock, or finds no saga.
    sagas = list(ended.select_for_update(skip_locked=True).defer("data"))
    batch = [saga.pk for saga in sagas]
    summary.tell_owners(sagas)
    SagaStep.objects.filter(saga_id__in=batch).delete()
    Saga.objects.filter(pk__in=batch).delete()
    return len(batch)


def _first_command(definition: Definition, subject_id: UUID) -> Command:
    step = definition.steps[0].name
    return Command(
        destination=definition.destination(step, undo=False),
        type=STEP_DUE,
        aggregate_type="saga",
        # I3: a saga that a restore makes begin again asks under the keys that providers know.
        aggregate_id=saga_id(definition.name, subject_id),
        correlation_id=subject_id,
        payload={"saga": definition.name, "step": step},
    )


def _new_saga(definition: Definition, data: Mapping[str, Any], command: Command) -> dict[str, Any]:
    return {
        "id": command.aggregate_id,
        "name": definition.name,
        "version": definition.version,
        "subject_id": command.correlation_id,
        "current_step": definition.steps[0].name,
        "data": data,
        "data_version": definition.data_version,
        "waiting_for": command.message_id,
    }


def _insert(sagas: Sequence[Mapping[str, Any]]) -> None:
    if sagas:
        with connection.cursor() as cursor:
            cursor.execute(START, [conf().deadline_hours * 3_600, as_json(sagas)])
