"""Sagas in the admin: read-only, their steps drawn, with the operator's verbs."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from outbox import selectors as outbox
from outbox.operator_admin import Advice, OperatorAdmin
from outbox.read_only_admin import acts_link, brief, joined, list_link, page_link, pretty_json, short, timeline_link
from outbox.verb import ReasonForm, Verb

from . import selectors, verbs
from .exceptions import SagaError
from .graph import graph_of
from .models import Saga
from .outlook import outlook

PERMISSION = "sagas.operate_saga"
# What a person answers for with their word alone, since no provider is asked: two persons' while that rule is on.
DANGEROUS = ("skip", "resolve")
OVERRULE = "sagas.overrule_saga"
# The colour of where a saga stands.
STANDINGS = {
    Saga.Status.RUNNING: "running",
    Saga.Status.NEEDS_ATTENTION: "failed",
    Saga.Status.COMPLETED: "done",
    Saga.Status.COMPENSATED: "undone",
}


class ResolveForm(ReasonForm):
    """What became of a step whose outcome nobody could find out. Say it only when you have seen it at the provider."""

    # The step that the person looked up: the answer is about no other, should the saga move on meanwhile.
    step = forms.CharField(required=False, widget=forms.HiddenInput)
    became = forms.ChoiceField(
        label="What happened",
        choices=[("happened", "It happened: go on with it"), ("nothing", "Nothing happened")],
        widget=forms.RadioSelect,
    )
    reference = forms.CharField(
        required=False, max_length=255, help_text="The provider's reference of what happened, as its books say."
    )

    def clean(self) -> dict[str, Any]:
        answers = super().clean() or {}
        happened, reference = answers.get("became") == "happened", answers.get("reference")
        if happened and not reference:
            self.add_error("reference", "What happened has a reference at the provider.")
        if not happened and reference:
            self.add_error("reference", "What did not happen has no reference.")
        return answers

    def answers(self) -> dict[str, Any]:
        answers = super().answers()
        return {
            "reason": answers["reason"], "step": answers["step"] or None, "happened": answers["reference"] or None,
        }  # fmt: skip


def _verb(name: str, label: str, explanation: str, **options: Any) -> Verb:
    return Verb(
        name=name,
        label=label,
        permission=OVERRULE if name in DANGEROUS else PERMISSION,
        explanation=explanation,
        perform=partial(verbs.perform, name),
        refusals=(SagaError,),
        dangerous=name in DANGEROUS,
        state_of=_state_of,
        **options,
    )


def _state_of(saga: Saga) -> str:
    """A saga that has moved waits for another message, or for a person."""
    return f"{saga.status} {saga.direction} at {saga.current_step}, waits for {saga.waiting_for or 'a person'}"


class SkipForm(ReasonForm):
    """The step that the person saw: a second click finds the saga at another one, and skips nothing."""

    step = forms.CharField(widget=forms.HiddenInput)


class StuckFilter(admin.SimpleListFilter):
    title = "stuck"
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("true", "Needs attention, or running with an error")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Saga]) -> QuerySet[Saga]:
        return selectors.stuck(queryset) if self.value() == "true" else queryset


class StepFilter(admin.SimpleListFilter):
    title = "step"
    parameter_name = "step"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in selectors.step_names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Saga]) -> QuerySet[Saga]:
        return queryset.filter(current_step=self.value()) if self.value() else queryset


@admin.register(Saga)
class SagaAdmin(OperatorAdmin):
    list_display = (
        "identity", "name", "subject", "status", "at_step", "said", "started_at",
    )  # fmt: skip
    list_filter = (StuckFilter, "status", StepFilter, "direction")
    search_fields = ("id", "subject_id")
    search_help_text = "Ids of sagas or of their subjects (orders), in full."
    change_form_template = "sagas/change_form.html"
    fieldsets = (
        (None, {"fields": ("name", "version", "status", "direction", "current_step", "reason", "last_error")}),
        ("Steps", {"fields": ("steps",), "classes": ("wide",)}),
        ("Clock", {"fields": ("waits", "deadline_at", "cancel_requested_at", "started_at", "ended_at")}),
        ("Related", {"fields": ("subject", "related")}),
        ("Data", {"fields": ("masked_data", "data_version", "id")}),
    )
    verbs = (
        _verb(
            "retry",
            "Retry",
            "Tries the current step again now, with all its attempts; in a compensation, everything that failed. For"
            " when the cause is mended, or the provider would now agree.",
        ),
        _verb(
            "resume",
            "Resume",
            "Goes on where it stopped, with a new deadline and the attempts left. For when what was down is back.",
        ),
        _verb(
            "skip",
            "Skip the step",
            "Goes on as if the current step, or its compensation, needed no doing. Whoever skips a compensation answers"
            " for its effect.",
            form=SkipForm,
            one_at_a_time=True,
        ),
        _verb(
            "compensate",
            "Compensate",
            "Turns back: undoes what was done. There is no way forward after. For an order that must not go on.",
        ),
        _verb("cancel", "Cancel", "Cancels as the customer would: it turns back before its next step."),
        _verb(
            "resolve",
            "Resolve",
            "Says what became of a step whose outcome is unknown. Look it up at the provider first.",
            form=ResolveForm,
            one_at_a_time=True,
        ),
    )

    class Media:
        css = {"all": ("outbox/read_only_admin.css", "outbox/tones.css", "sagas/saga.css")}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        saga = context["original"]
        guidance = verbs.guide(saga)
        context.update(
            {
                "graph": graph_of(selectors.steps_of(saga), backward=saga.goes_backward),
                "standing": _standing(saga),
                "tone": STANDINGS[Saga.Status(saga.status)],
                "wrong": "" if guidance.sentence else saga.last_error,
                "next": outlook(saga, now=outbox.clock()),
            }
        )
        return super().render_change_form(request, context, *args, **options)

    def search(self, words: Sequence[str]) -> Q:
        return selectors.by_any_id([identity for word in words if (identity := _uuid(word))])

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # Of live ones (saga_running, saga_needs_attention) there are few; millions ended at the last step.
        live = "stuck" in chosen or chosen.get("status__exact") in {Saga.Status.RUNNING, Saga.Status.NEEDS_ATTENTION}
        return live or "step" not in chosen

    def offered(self, row: Saga) -> Collection[str]:
        return verbs.guide(row).offered

    def seen(self, verb: Verb, rows: Sequence[Saga]) -> Mapping[str, Any]:
        return {"step": rows[0].current_step} if verb.form in {SkipForm, ResolveForm} else {}

    def advice(self, row: Saga) -> Advice:
        guidance = verbs.guide(row)
        return Advice(sentence=guidance.sentence, helpful=guidance.helpful)

    @admin.display(description="subject (order)")
    def subject(self, saga: Saga) -> SafeString | str:
        return page_link("orders_order", saga.subject_id, short(saga.subject_id))

    @admin.display(description="at")
    def at_step(self, saga: Saga) -> str:
        return f"{saga.current_step} (backward)" if saga.goes_backward else saga.current_step

    @admin.display(description="error, or reason")
    def said(self, saga: Saga) -> SafeString:
        # The step stands beside it.
        return brief((saga.last_error or saga.reason).removeprefix(f"{saga.current_step}: "))

    @admin.display(description="steps")
    def steps(self, saga: Saga) -> SafeString:
        return render_to_string("sagas/steps.html", {"steps": selectors.steps_of(saga)})

    @admin.display(description="waits for")
    def waits(self, saga: Saga) -> SafeString | str:
        waiting = selectors.waits_for(saga)
        if waiting is None:
            return "a person" if saga.status == Saga.Status.NEEDS_ATTENTION else "nothing"
        reading = waiting.reading.replace("_", " ")
        text = f"{waiting.destination} · {reading} · {waiting.due_at:%Y-%m-%d %H:%M:%S} UTC"
        return page_link("outbox_outboxmessage", waiting.key, text)

    @admin.display(description="related")
    def related(self, saga: Saga) -> SafeString:
        return joined(
            timeline_link(saga.subject_id),
            list_link("outbox_outboxmessage", "messages", q=f"{saga.pk} {saga.subject_id}"),
            list_link("payments_payment", "payments", q=saga.subject_id),
            list_link("payments_refund", "refunds", q=saga.subject_id),
            list_link("shipping_shipment", "shipments", q=saga.subject_id),
            list_link("inventory_reservation", "stock", q=saga.subject_id),
            list_link("notifications_notification", "notifications", q=saga.subject_id),
            acts_link("saga", saga.pk),
        )

    @admin.display(description="inputs of every step")
    def masked_data(self, saga: Saga) -> SafeString:
        return pretty_json(saga.data)


def _standing(saga: Saga) -> str:
    """Where it stands, in one line."""
    reason = f" ({saga.reason.replace('_', ' ')})" if saga.reason else ""
    status = saga.status.replace("_", " ").capitalize()
    if not saga.is_live:
        return f"{status}{reason}"
    way = "compensating" if saga.goes_backward else "on its way forward"
    return f"{status}: {way}{reason}, at {saga.current_step}"


def _uuid(word: str) -> UUID | None:
    try:
        return UUID(word)
    except ValueError:
        return None
