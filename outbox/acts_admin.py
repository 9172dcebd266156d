"""Operator acts in the admin: what people did, newest first, by row, by person and by verb.

Guarantee: the list reads its newest acts by their time, and a row's or a person's by an index. Ids do not tell the
time: one that came of a form begins with the moment at which the form was made (once.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from .aggregates import PAGES
from .models import OperatorAct
from .read_only_admin import ReadOnlyAdmin, page_link

# What acts are about, and where it is looked at.
TARGETS = {
    **PAGES,
    "outboxmessage": "outbox_outboxmessage",
    "destination": "outbox_destination",
    "difference": "audit_difference",
    "proposal": "outbox_proposal",
    "requeueorder": "outbox_requeueorder",
    "stockitem": "inventory_stockitem",
    "breaker": "providers_breaker",
}
# What leaves an act and is no button on a row.
OTHER_VERBS = {"order requeue", "restock", "open", "try", "close"}


class TargetFilter(admin.SimpleListFilter):
    title = "kind of target"
    parameter_name = "target_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in sorted(TARGETS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OperatorAct]) -> QuerySet[OperatorAct]:
        return queryset.filter(target_type=self.value()) if self.value() else queryset


class VerbFilter(admin.SimpleListFilter):
    """By the verbs that this code has: to ask the table which it holds would read all of it."""

    title = "verb"
    parameter_name = "verb"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        admins = model_admin.admin_site._registry.values()
        buttons = {verb.name for each in admins for verb in getattr(each, "verbs", ())}
        return [(name, name) for name in sorted(buttons | OTHER_VERBS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OperatorAct]) -> QuerySet[OperatorAct]:
        return queryset.filter(verb=self.value()) if self.value() else queryset


@admin.register(OperatorAct)
class OperatorActAdmin(ReadOnlyAdmin):
    list_display = ("acted_at", "person", "verb", "target_type", "target", "reason")
    fields = ("acted_at", "person", "verb", "target_type", "target", "reason", "detail")
    list_filter = (VerbFilter, TargetFilter)
    list_select_related = ("who", "approved_by")
    search_fields = ("target_id",)
    search_help_text = "A target's id, or a user name, in full."
    # Index operator_act_by_time.
    ordering = ("-acted_at", "-pk")

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # Index operator_act_by_target; on every row's page there is a link with both.
        return not chosen or {"target_type", "target_id"} <= chosen.keys()

    def search(self, words: Sequence[str]) -> Q:
        """By targets of every kind, with which their index begins, and by who did it: looked up first, for its own."""
        people = User.objects.filter(username__in=words).values_list("pk", flat=True)
        return Q(target_type__in=list(TARGETS), target_id__in=words) | Q(who_id__in=list(people))

    @admin.display(description="who")
    def person(self, act: OperatorAct) -> str:
        who = str(act.who) if act.who else "command line"
        return f"{who}, approved by {act.approved_by}" if act.approved_by else who

    @admin.display(description="target")
    def target(self, act: OperatorAct) -> SafeString | str:
        page = TARGETS.get(act.target_type)
        return page_link(page, act.target_id) if page else act.target_id
