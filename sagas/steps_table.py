"""One saga as a readable text: where it stands, its steps and their compensations, the message that it waits for."""

from datetime import datetime

from . import selectors, verbs
from .models import Saga
from .selectors import Run, StepReading

COLUMNS = "{mark:<2}{step:<20}{does:<12}{status:<10}{attempts:>8}  {started:<21}{finished:<21}{said}"


def table(saga: Saga) -> str:
    """The saga's head, one line per step and per compensation, and its clock."""
    return "\n".join([*_head(saga), "", *_steps(selectors.steps_of(saga)), "", _clock(saga)])


def _head(saga: Saga) -> list[str]:
    lines = [
        f"{saga.name} v{saga.version} {saga.pk}",
        f"subject    {saga.subject_id}",
        f"status     {saga.status}, {saga.direction}, at {saga.current_step}",
        f"started    {_time(saga.started_at)}   ended {_time(saga.ended_at)}   deadline {_time(saga.deadline_at)}",
    ]
    if saga.cancel_requested_at is not None:
        lines.append(f"cancelled  asked for at {_time(saga.cancel_requested_at)}")
    if saga.reason:
        lines.append(f"reason     {saga.reason}")
    if saga.last_error:
        lines.append(f"error      {saga.last_error}")
    return lines


def _steps(steps: list[StepReading]) -> list[str]:
    lines = [
        COLUMNS.format(
            mark="",
            step="step",
            does="",
            status="status",
            attempts="attempts",
            started="started (UTC)",
            finished="finished (UTC)",
            said="outcome",
        )
    ]
    for step in steps:
        lines.append(_line(step, "action" if not step.is_pivot else "pivot", step.action))
        if step.undo is not None:
            lines.append(_line(step, "undo", step.undo))
    return lines


def _line(step: StepReading, does: str, run: Run) -> str:
    output = ", ".join(f"{name}={value}" for name, value in (run.output or {}).items())
    return COLUMNS.format(
        mark=">" if step.is_current else "",
        step=step.name,
        does=does,
        status=run.status,
        attempts=run.attempts,
        started=_time(run.started_at),
        finished=_time(run.finished_at),
        said=run.error or output,
    ).rstrip()


def _clock(saga: Saga) -> str:
    waiting = selectors.waits_for(saga)
    if waiting is None:
        return _person(saga) if saga.is_live else "Waits for nothing: it has ended."
    error = f", last error: {waiting.last_error}" if waiting.last_error else ""
    return (
        f"Waits for message {waiting.message_id} at {waiting.destination}: {waiting.reading.replace('_', ' ')}"
        f" ({_time(waiting.due_at)}), {waiting.attempts} attempts{error}"
    )


def _person(saga: Saga) -> str:
    helpful = verbs.guide(saga).helpful
    return f"Waits for a person: {' or '.join(helpful)}." if helpful else "Waits for a person."


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "–"
