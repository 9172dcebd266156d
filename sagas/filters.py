"""Filters of the staff's list of sagas. A filter that does not exist, or a value it cannot have, is a 400."""

from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from outbox.filters import STUCK, StrictFilters

from . import definition, selectors
from .models import Saga


class SagaFilters(StrictFilters):
    status = filters.ChoiceFilter(choices=Saga.Status.choices)
    direction = filters.ChoiceFilter(choices=Saga.Direction.choices)
    stuck = filters.ChoiceFilter(
        choices=STUCK, method="only_stuck", help_text="Needs attention, or runs with an error."
    )
    name = filters.ChoiceFilter(choices=lambda: [(name, name) for name in definition.names()])
    subject_id = filters.UUIDFilter(method="of_subject")

    def only_stuck(self, sagas: QuerySet[Saga], name: str, value: str) -> QuerySet[Saga]:
        return selectors.stuck(sagas)

    def of_subject(self, sagas: QuerySet[Saga], name: str, value: UUID) -> QuerySet[Saga]:
        # Index one_saga_per_name_and_subject.
        return sagas.filter(name__in=definition.names(), subject_id=value)
