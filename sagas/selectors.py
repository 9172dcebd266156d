"""Reads of sagas for other apps and for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from outbox import selectors as outbox
from outbox.masking import masked
from outbox.spoken import spoken

from . import definition
from .definition import Step
from .exceptions import UnknownDefinition
from .models import Saga, SagaStep

# How each status of a step, or of its compensation, is coloured.
TONES = {
    "done": "done", "running": "running", "retrying": "waiting", "unknown": "waiting", "refused": "failed",
    "given_up": "failed", "failed": "failed",
}  # fmt: skip
# A step that the saga has not come to yet has no row.
NOT_YET = "not yet"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a process stands."""

    step: str
    direction: str
    status: str


def progress(name: str, subject_ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """Where the sagas of these subjects stand, by subject id; subjects without one are left out."""
    rows = Saga.objects.filter(name=name, subject_id__in=subject_ids)
    return {
        subject_id: Progress(step=step, direction=direction, status=status)
        for subject_id, step, direction, status in rows.values_list("subject_id", "current_step", "direction", "status")
    }


def ids(name: str, subject_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The sagas of these subjects, by subject id; subjects without one are left out."""
    rows = Saga.objects.filter(name=name, subject_id__in=subject_ids)
    return dict(rows.values_list("subject_id", "pk"))


def stuck(sagas: QuerySet[Saga]) -> QuerySet[Saga]:
    """Those that need a look: waiting for a person, or running with an error on record."""
    return sagas.filter(status=Saga.Status.NEEDS_ATTENTION) | sagas.filter(
        status=Saga.Status.RUNNING, last_error__gt=""
    )


def step_names() -> list[str]:
    """The steps of every saga that this code knows, in their order."""
    known = [step.name for name in definition.names() for one in definition.versions(name) for step in one.steps]
    return list(dict.fromkeys(known))


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of a step, or of its compensation. Secrets in the output are masked."""

    status: str
    attempts: int = 0
    started_at: datetime | None = None
    called_at: datetime | None = None
    finished_at: datetime | None = None
    output: dict[str, Any] | None = None
    error: str = ""

    @property
    def took(self) -> str:
        """From its beginning to its end, for people; "" while it has none of the two, or was done at once."""
        if not (self.started_at and self.finished_at) or self.started_at == self.finished_at:
            return ""
        return spoken(self.finished_at - self.started_at)

    @property
    def said(self) -> str:
        return self.status.replace("_", " ")

    @property
    def tone(self) -> str:
        """The colour of its status in every drawing (outbox/tones.css)."""
        return TONES.get(self.status, "plain")


@dataclass(frozen=True, kw_only=True)
class StepReading:
    """One step of one saga; `undo` is None where there is nothing to compensate, or nothing to do it with."""

    name: str
    is_current: bool
    is_pivot: bool
    action: Run
    undo: Run | None
    # What the definition allows; None where this code does not know it.
    max_attempts: int | None = None
    provider: str | None = None
    is_undoable: bool = False


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The message that a running saga waits for: its clock."""

    key: UUID
    message_id: UUID
    destination: str
    reading: str
    due_at: datetime
    attempts: int
    last_error: str


def steps_of(saga: Saga) -> list[StepReading]:
    """A saga's steps in their order, those to come included where this code knows the definition."""
    rows = {row.name: row for row in saga.steps.all()}
    try:
        return [_known_step(saga, step, rows.get(step.name)) for step in _definition(saga).steps]
    except UnknownDefinition:
        return [_unknown_step(saga, row) for row in rows.values()]


def story(name: str, subject_id: UUID) -> tuple[Saga, list[StepReading]] | None:
    """A subject's saga and its steps; None before it began, and after its purge. Two queries, both by index."""
    saga = Saga.objects.filter(name=name, subject_id=subject_id).defer("data").prefetch_related("steps").first()
    return (saga, steps_of(saga)) if saga else None


def waits_for(saga: Saga) -> Waiting | None:
    """The message that a saga waits for; None when it waits for none."""
    for message in outbox.find(saga.waiting_for) if saga.waiting_for else []:
        return Waiting(
            key=message.key,
            message_id=message.message_id,
            destination=message.destination,
            reading=getattr(message, "reading", ""),
            due_at=message.due_at,
            attempts=message.attempts,
            last_error=message.last_error,
        )
    return None


def by_any_id(ids: Sequence[UUID]) -> Q:
    """Sagas by their own ids or by their subjects' (index one_saga_per_name_and_subject, hence the names)."""
    return Q(pk__in=ids) | Q(name__in=definition.names(), subject_id__in=ids)


def _known_step(saga: Saga, step: Step, row: SagaStep | None) -> StepReading:
    return StepReading(
        name=step.name,
        is_current=saga.is_live and saga.current_step == step.name,
        is_pivot=step.pivot,
        action=_action(row),
        undo=_undo(row) if step.compensation else None,
        max_attempts=step.retry.attempts,
        provider=step.provider,
        is_undoable=step.compensation is not None,
    )


def _unknown_step(saga: Saga, row: SagaStep) -> StepReading:
    """By its row alone: a version that this code does not know."""
    is_current = saga.is_live and saga.current_step == row.name
    undo = _undo(row)
    return StepReading(
        name=row.name, is_current=is_current, is_pivot=False, action=_action(row), undo=undo, is_undoable=bool(undo)
    )


def _definition(saga: Saga) -> definition.Definition:
    return definition.find(saga.name, saga.version)


def _action(row: SagaStep | None) -> Run:
    if row is None:
        return Run(status=NOT_YET)
    return Run(
        status=row.status,
        attempts=row.attempts,
        started_at=row.started_at,
        called_at=row.called_at,
        finished_at=row.finished_at,
        output=masked(row.output) or None,
        error=row.error,
    )


def _undo(row: SagaStep | None) -> Run | None:
    if row is None or not row.undo_status:
        return None
    return Run(
        status=row.undo_status,
        attempts=row.undo_attempts,
        started_at=row.undo_started_at,
        called_at=row.undo_called_at,
        finished_at=row.undo_finished_at,
        output=masked(row.undo_output) or None,
        error=row.undo_error,
    )


def unknown_to_this_code() -> list[tuple[str, int, str, int]]:
    """Live sagas (name, version, step, how many) that this code could not go on with: a deploy of it must stop."""
    # Said as two conditions, each of which is a partial index's; IN would read every saga there ever was.
    live = Saga.objects.filter(Q(status=Saga.Status.RUNNING) | Q(status=Saga.Status.NEEDS_ATTENTION))
    counted = live.values_list("name", "version", "current_step").annotate(Count("id")).order_by("name", "version")
    return [row for row in counted if not _is_known(*row[:3])]


def _is_known(name: str, version: int, step: str) -> bool:
    try:
        definition.find(name, version).step(step)
    except UnknownDefinition:
        return False
    return True
