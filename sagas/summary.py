"""What is left of a saga that is purged: one line for its owner, and the owner is told in the purge's own transaction.

Guarantee: no saga of a definition that asks for it goes without its line. Not guaranteed: that the line says all; times
between attempts, outputs and errors go with the steps. A saga whose definition this code does not know leaves none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from outbox.spoken import spoken

from . import definition
from .exceptions import UnknownDefinition
from .models import Saga, SagaStep

LINE_MAX_CHARACTERS: Final = 500


def tell_owners(sagas: Sequence[Saga]) -> None:
    """Hands each definition the lines of its sagas, by subject id; in the caller's transaction, in one call each."""
    steps = _steps_by_saga([saga.pk for saga in sagas])
    by_definition: dict[tuple[str, int], dict[UUID, str]] = {}
    for saga in sagas:
        lines = by_definition.setdefault((saga.name, saga.version), {})
        lines[saga.subject_id] = line(saga, steps.get(saga.pk, []))
    for (name, version), lines in sorted(by_definition.items()):
        _tell(name, version, lines)


def line(saga: Saga, steps: Iterable[SagaStep]) -> str:
    """`compensated in 3.1 s, payment_declined: reserve_stock done and undone, charge_payment refused (3 attempts)`"""
    took = f" in {spoken(saga.ended_at - saga.started_at)}" if saga.ended_at else ""
    reason = f", {saga.reason}" if saga.reason else ""
    told = ", ".join(_step(step) for step in steps) or "no step had run"
    return f"{saga.status}{took}{reason}: {told}"[:LINE_MAX_CHARACTERS]


def _tell(name: str, version: int, lines: Mapping[UUID, str]) -> None:
    try:
        known = definition.find(name, version)
    except UnknownDefinition:
        return
    if known.on_purged is not None:
        known.on_purged(lines)


def _steps_by_saga(saga_ids: Sequence[UUID]) -> dict[UUID, list[SagaStep]]:
    """In their order. Index one_row_per_saga_and_step."""
    rows: dict[UUID, list[SagaStep]] = {}
    wanted = ("saga_id", "name", "position", "status", "attempts", "undo_status", "undo_attempts")
    for row in SagaStep.objects.filter(saga_id__in=saga_ids).only(*wanted).order_by("position"):
        rows.setdefault(row.saga_id, []).append(row)
    return rows


def _step(step: SagaStep) -> str:
    text = f"{step.name} {_with_attempts(step.status, step.attempts)}"
    if not step.undo_status:
        return text
    undone = "undone" if step.undo_status == SagaStep.UndoStatus.DONE else f"compensation {step.undo_status}"
    return f"{text} and {_with_attempts(undone, step.undo_attempts)}"


def _with_attempts(what: str, attempts: int) -> str:
    said = what.replace("_", " ")
    return f"{said} ({attempts} attempts)" if attempts > 1 else said
