"""Filters of the admin's lists of messages: each reads by an index, or by a part of one."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from . import selectors
from .models import InboxEntry, OutboxMessage


class StuckFilter(admin.SimpleListFilter):
    title = "stuck"
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("true", "Dead, or failed and not yet done")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
        return selectors.stuck(queryset) if self.value() == "true" else queryset


class ReadingFilter(admin.SimpleListFilter):
    title = "reading of an open message"
    parameter_name = "reading"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in selectors.Reading.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
        reading = self.value()
        return selectors.reads(queryset, reading) if reading in selectors.Reading.values else queryset


class DestinationFilter(admin.SimpleListFilter):
    title = "destination"
    parameter_name = "destination"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in selectors.destinations()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
        return queryset.filter(destination=self.value()) if self.value() else queryset


class ConsumerFilter(admin.SimpleListFilter):
    """One consumer at a time: the primary key gives the newest rows of one, not of all."""

    title = "consumer"
    parameter_name = "consumer"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.value() is None and self.lookup_choices:
            self.used_parameters[self.parameter_name] = self.lookup_choices[0][0]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in selectors.inbox_consumers()]

    def choices(self, changelist: Any) -> Any:
        return list(super().choices(changelist))[1:]  # without "All"

    def queryset(self, request: HttpRequest, queryset: QuerySet[InboxEntry]) -> QuerySet[InboxEntry]:
        if request.GET.get("q", "").strip() and self.parameter_name not in request.GET:
            return queryset.filter(consumer__in=[name for name, _ in self.lookup_choices])
        return queryset.filter(consumer=self.value() or "")
