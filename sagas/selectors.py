"""Reads of sagas for other apps and for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, QuerySet

from . import definition
from .exceptions import UnknownDefinition
from .models import Saga


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


def stuck(sagas: QuerySet[Saga]) -> QuerySet[Saga]:
    """Those that need a look: waiting for a person, or running with an error on record."""
    return sagas.filter(status=Saga.Status.NEEDS_ATTENTION) | sagas.filter(
        status=Saga.Status.RUNNING, last_error__gt=""
    )


def unknown_to_this_code() -> list[tuple[str, int, str, int]]:
    """Live sagas (name, version, step, how many) that this code could not go on with: a deploy of it must stop."""
    live = Saga.objects.filter(status__in=[Saga.Status.RUNNING, Saga.Status.NEEDS_ATTENTION])
    counted = live.values_list("name", "version", "current_step").annotate(Count("id")).order_by("name", "version")
    return [row for row in counted if not _is_known(*row[:3])]


def _is_known(name: str, version: int, step: str) -> bool:
    try:
        definition.find(name, version).step(step)
    except UnknownDefinition:
        return False
    return True
