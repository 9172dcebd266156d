"""Filters of lists. A parameter that does not exist, or a value it cannot have, is a 400: never the whole list."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework.exceptions import ValidationError as InvalidRequest

from . import selectors
from .models import OutboxMessage

# Each has a partial index; what is done is nearly everything.
RARE_STATES = {OutboxMessage.State.OPEN, OutboxMessage.State.DEAD, OutboxMessage.State.SKIPPED}
STUCK = [("true", "Only those that need a look")]
NEWEST = f"Of what is done, among the newest {selectors.UNINDEXED_ROWS_MAX:,} messages only."


def refuse_unknown(given: Iterable[str], known: Sequence[str]) -> None:
    """Raises a 400 that names the nearest parameter. `format` is every address's own."""
    for name in given:
        if name not in known and name != "format":
            near = get_close_matches(name[:100], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise InvalidRequest({name: [f"There is no such parameter: {hint}"]})


class StrictFilters(filters.FilterSet):
    """Filters of which a list accepts only those that it knows, and what turns its pages."""

    page_parameters: ClassVar[Sequence[str]] = ("cursor",)

    def is_valid(self) -> bool:
        refuse_unknown(self.data, [*self.filters, *self.page_parameters])
        return bool(super().is_valid())


def is_destination(name: str) -> None:
    if name not in selectors.destinations():
        raise ValidationError("There is no such destination.")


def has_consumed(name: str) -> None:
    if name not in selectors.inbox_consumers() and name not in selectors.destinations():
        raise ValidationError("There is no such consumer.")


class OutboxMessageFilters(StrictFilters):
    state = filters.ChoiceFilter(choices=OutboxMessage.State.choices)
    stuck = filters.ChoiceFilter(choices=STUCK, method="only_stuck", help_text="Dead, or failed and not yet done.")
    destination = filters.CharFilter(validators=[is_destination], help_text=NEWEST)
    type = filters.CharFilter(max_length=100, help_text=NEWEST)
    message_id = filters.UUIDFilter()
    aggregate_id = filters.UUIDFilter()

    def filter_queryset(self, queryset: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
        chosen = self.form.cleaned_data
        found: QuerySet[OutboxMessage] = super().filter_queryset(queryset)
        by_index = chosen["message_id"] or chosen["aggregate_id"] or chosen["stuck"] or chosen["state"] in RARE_STATES
        narrowed = chosen["type"] or chosen["destination"]
        return selectors.newest(found) if narrowed and not by_index else found

    def only_stuck(self, messages: QuerySet[OutboxMessage], name: str, value: str) -> QuerySet[OutboxMessage]:
        return selectors.stuck(messages)


class InboxMessageFilters(StrictFilters):
    """Read by the view itself: the inbox's key is two columns, and its pages are made in SQL."""

    consumer = filters.CharFilter(validators=[has_consumed])
    message_id = filters.UUIDFilter()
