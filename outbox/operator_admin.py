"""Operator verbs in the admin: an action, a page that asks why, the act.

Guarantee: a verb runs only by POST with a CSRF token, by somebody who has its permission, with a reason; each row in
a transaction of its own, which also holds its OperatorAct. A row that is already done changes nothing and leaves none;
one form, however often it is submitted and whatever the row did in between, acts once on each row (F14). While the
two-person rule is on, a dangerous verb leaves a proposal instead (proposals.py).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from . import once, proposals
from .exceptions import AlreadyActed
from .proposals import Result
from .read_only_admin import ReadOnlyAdmin
from .verb import Verb

# More at once is what the commands are for: they work in batches.
ROWS_MAX = 100
CONFIRMED = "confirmed"
FROM_PAGE = "from_page"


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What the page of a row that needs a person says above its buttons, and which of them stand out."""

    sentence: str = ""
    helpful: Collection[str] = ()


@dataclass(kw_only=True)
class Report:
    """What became of each row."""

    changed: list[str] = field(default_factory=list)
    already_done: list[str] = field(default_factory=list)
    proposed: list[str] = field(default_factory=list)
    already_proposed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def tell(self, request: HttpRequest, verb: Verb) -> None:
        if self.changed:
            messages.success(request, f"{verb.label}: {_names(self.changed)}.")
        if self.proposed:
            text = "proposed; it is done when a second person approves it"
            messages.success(request, f"{verb.label}: {text}: {_names(self.proposed)}.")
        if self.already_done:
            messages.warning(request, f"{verb.label}: already done, nothing changed: {_names(self.already_done)}.")
        if self.already_proposed:
            waits = "already proposed, and waits for a second person"
            messages.warning(request, f"{verb.label}: {waits}: {_names(self.already_proposed)}.")
        for sentence in self.refused:
            messages.error(request, sentence)


class OperatorAdmin(ReadOnlyAdmin):
    """A read-only admin whose rows know operator verbs, as list actions and as buttons on the row's page."""

    verbs: Sequence[Verb] = ()
    change_form_template = "admin/operator_change_form.html"

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = dict(super().get_actions(request))
        for verb in self._permitted(request):
            actions[verb.name] = (partial(_ask_and_perform, verb), verb.name, verb.label)
        return actions

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        row = context["original"]
        offered = self.offered_to(request, row)
        context.update(
            {
                "verbs": [verb for verb in self._permitted(request) if verb.name in offered],
                "advice": self.advice(row),
                "proposals": self._proposals(request, row),
                "list_address": _list_address(self),
            }
        )
        return super().render_change_form(request, context, *args, **options)

    def offered(self, row: Any) -> Collection[str]:
        """The verbs that could change this row as it is: its page offers no other."""
        return [verb.name for verb in self.verbs]

    def offered_to(self, request: HttpRequest, row: Any) -> Collection[str]:
        """The same, for this person."""
        return self.offered(row)

    def details(self, row: Any) -> Sequence[tuple[str, Any]]:
        """What the page that asks shows of a row beside its name."""
        return ()

    def seen(self, verb: Verb, rows: Sequence[Any]) -> Mapping[str, Any]:
        """What the person sees and the act is about: the question's hidden fields, so that a second click is told."""
        return {}

    def advice(self, row: Any) -> Advice:
        """Why this row needs a person, if it does, and the verbs that help."""
        return Advice()

    def _proposals(self, request: HttpRequest, row: Any) -> Sequence[Any]:
        """What waits for a second person, for whoever may see proposals."""
        if not any(verb.dangerous for verb in self.verbs) or not request.user.has_perm("outbox.view_proposal"):
            return ()
        return list(proposals.open_ones(row))

    def _permitted(self, request: HttpRequest) -> list[Verb]:
        return [verb for verb in self.verbs if request.user.has_perm(verb.permission)]


def _ask_and_perform(
    verb: Verb, model_admin: OperatorAdmin, request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse | None:
    """An admin action: the page that asks, then the act. None leads back to the list, as Django's actions do."""
    rows = _chosen(model_admin, request, queryset)
    if objection := _objection(verb, rows):
        messages.error(request, objection)
        return None
    form = (
        verb.form(request.POST) if CONFIRMED in request.POST else verb.form(initial=dict(model_admin.seen(verb, rows)))
    )
    if not form.is_valid():
        return _question(
            verb, model_admin, request, {"form": form, "rows": rows, "details": _details(model_admin, rows)}
        )
    with once.from_form(form.cleaned_data["form_id"]):
        _perform(verb, rows, request, form.answers()).tell(request, verb)
    if FROM_PAGE in request.POST:
        return HttpResponseRedirect(reverse(_route(model_admin, "change"), args=[rows[0].pk]))
    return None


def _chosen(model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
    """The rows by their ids, whatever the list's filter: after the first click a row may not match it any more."""
    if request.POST.get("select_across") != "1":
        queryset = model_admin.get_queryset(request).filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
    return list(queryset.order_by("pk")[: ROWS_MAX + 1])


def _objection(verb: Verb, rows: Sequence[Any]) -> str:
    if not rows:
        return "There is nothing to do this to any more."
    if len(rows) > ROWS_MAX:
        return f"{verb.label}: at most {ROWS_MAX} at once here; the command line does any number, in batches."
    if verb.one_at_a_time and len(rows) > 1:
        return f"{verb.label}: one at a time."
    return ""


def _question(
    verb: Verb, model_admin: admin.ModelAdmin, request: HttpRequest, asked: Mapping[str, Any]
) -> TemplateResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        **asked,
        "title": verb.label,
        "preview": verb.preview(asked["rows"], asked["form"]) if verb.preview else "",
        "verb": verb,
        "opts": model_admin.opts,
        "media": model_admin.media,
        "list_address": _list_address(model_admin),
        "checkbox": ACTION_CHECKBOX_NAME,
        "from_page": FROM_PAGE in request.POST,
    }
    return TemplateResponse(request, "admin/operator_question.html", context)


def _perform(verb: Verb, rows: Sequence[Any], request: HttpRequest, answers: Mapping[str, Any]) -> Report:
    report = Report()
    rows_of = {
        Result.CHANGED: report.changed,
        Result.ALREADY_DONE: report.already_done,
        Result.PROPOSED: report.proposed,
        Result.ALREADY_PROPOSED: report.already_proposed,
    }
    for row in rows:
        try:
            rows_of[proposals.perform(verb, row, who=request.user, answers=answers)].append(str(row))
        except AlreadyActed:
            report.already_done.append(str(row))
        except verb.every_refusal as refusal:
            report.refused.append(f"{verb.label}: {row}: {refusal}")
        except OperationalError as error:
            report.refused.append(f"{row}: the database could not do it now, try again ({error}).")
    return report


def _details(model_admin: OperatorAdmin, rows: Sequence[Any]) -> list[tuple[str, Any]]:
    """Of one row only: of many, the list said enough."""
    return list(model_admin.details(rows[0])) if len(rows) == 1 else []


def _names(rows: Sequence[str]) -> str:
    shown = ", ".join(rows[:3])
    return shown if len(rows) <= 3 else f"{shown} and {len(rows) - 3} more"


def _route(model_admin: admin.ModelAdmin, page: str) -> str:
    return f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_{page}"


def _list_address(model_admin: admin.ModelAdmin) -> str:
    return reverse(_route(model_admin, "changelist"))
