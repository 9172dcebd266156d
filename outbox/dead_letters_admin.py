"""The admin's pages of dead messages: what they died of, one group, what a requeue would run, who waits behind whom.

Guarantee: whoever sees messages sees these pages; ordering a requeue takes its permission, a reason and a POST with a
CSRF token, and one form orders once, however often it is sent (F14). Not guaranteed: that the numbers stand still; each
page says what it read.
"""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from . import dead_letters, once, requeue_orders, selectors
from .aggregates import aggregate_link
from .choice import Choice
from .exceptions import AlreadyActed, VerbRefused
from .models import OutboxMessage, RequeueOrder
from .read_only_admin import ReadOnlyAdmin
from .verb import ReasonForm

REQUEUE = "outbox.requeue_outboxmessage"
SEE = "outbox.view_outboxmessage"
MESSAGES_SHOWN = 50


class ChoiceForm(forms.Form):
    """Which dead messages; what is left empty is any. An address may hold it."""

    error_fingerprint = forms.RegexField(r"^[0-9a-f]{12}$", required=False, widget=forms.HiddenInput)
    destination = forms.ChoiceField(required=False)
    type = forms.CharField(required=False, max_length=100, widget=forms.TextInput(attrs={"list": "message-types"}))

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        names = [(name, name) for name in selectors.destinations()]
        self.fields["destination"].choices = [("", "every destination"), *names]  # type: ignore[attr-defined]  # of a ChoiceField

    def choice(self) -> Choice:
        return Choice(**self.cleaned_data)


class OrderForm(ReasonForm):
    """What an order to requeue asks beside which messages."""

    rate_per_second = forms.IntegerField(
        label="Messages a second",
        min_value=1,
        max_value=requeue_orders.RATE_MAX,
        initial=requeue_orders.RATE_DEFAULT,
        help_text="Slow enough for whoever gets them. It can be paused and cancelled on the way.",
    )


class SeenWithMessages(ReadOnlyAdmin):
    """Whoever sees messages sees what is made of them."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(SEE))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


class DeadLetterAdmin(SeenWithMessages):
    """Pages of its own: a list of rows would not tell what a hundred thousand of them have in common."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="outbox_deadletter_changelist"),
            path("group/<slug:fingerprint>/", view(self.group_view), name="outbox_deadletter_group"),
            path("requeue/", view(self.requeue_view), name="outbox_deadletter_requeue"),
            path("waiting/", view(self.waiting_view), name="outbox_deadletter_waiting"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self._must_see(request)
        form = ChoiceForm(request.GET)
        choice = form.choice() if form.is_valid() else Choice()
        found = dead_letters.groups(choice)
        context = {
            "form": form,
            "types": _types(),
            "found": found,
            "more": found.in_all - len(found.shown),
            "requeue_all": urlencode(choice.given()),
            "orders": RequeueOrder.objects.filter(status__in=["open", "paused"]).order_by("pk")[:20],
        }
        return self._page(request, "groups", "Dead letters", context)

    def group_view(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        self._must_see(request)
        form = ChoiceForm({**request.GET.dict(), "error_fingerprint": fingerprint})
        if not form.is_valid():
            raise Http404
        choice = form.choice()
        group = next(iter(dead_letters.groups(choice).shown), None)
        context = {
            "fingerprint": fingerprint,
            "group": group,
            **_effects(choice if group else None),
            "rows": [
                (row, aggregate_link(row.aggregate_type, row.aggregate_id))
                for row in dead_letters.chosen(choice).order_by("-key")[:MESSAGES_SHOWN]
            ],
            "more": group.count - MESSAGES_SHOWN if group else 0,
            "query": urlencode(choice.given()),
            "order": requeue_orders.under_way(choice),
        }
        return self._page(
            request, "group", group.pattern if group else "No message is dead of this (any more)", context
        )

    def requeue_view(self, request: HttpRequest) -> HttpResponse:
        self._must_see(request)
        if not request.user.has_perm(REQUEUE):
            raise PermissionDenied
        chosen = ChoiceForm(request.GET)
        if not chosen.is_valid():
            raise Http404
        choice = chosen.choice()
        form = OrderForm(request.POST) if request.method == "POST" else OrderForm()
        if request.method == "POST" and form.is_valid():
            with once.from_form(form.cleaned_data["form_id"]):
                return self._order(request, choice, form.answers())
        context = {
            "form": form,
            "pattern": dead_letters.pattern(choice.error_fingerprint),
            **_effects(choice),
            "order": requeue_orders.under_way(choice),
        }
        return self._page(request, "requeue", f"Requeue {choice}", context)

    def waiting_view(self, request: HttpRequest) -> HttpResponse:
        self._must_see(request)
        heads = [(head, aggregate_link(head.aggregate_type, head.aggregate_id)) for head in dead_letters.waiting()]
        context = {"heads": heads, "looked_at": dead_letters.HEADS_LOOKED_AT}
        return self._page(request, "waiting", "Waiting behind another message", context)

    def _order(self, request: HttpRequest, choice: Choice, answers: dict[str, Any]) -> HttpResponse:
        """Gives the order and shows it; who clicks twice, or sends the page again, is led to the first one's."""
        try:
            order = requeue_orders.place(choice, who=request.user, **answers)
        except AlreadyActed as again:
            messages.warning(request, f"Nothing was ordered: {again}")
            return _to_order(requeue_orders.id_of(choice))
        except VerbRefused as refusal:
            first = requeue_orders.under_way(choice)
            messages.warning(request, f"Nothing was ordered: {refusal}")
            return _to_order(first) if first else HttpResponseRedirect(reverse("admin:outbox_deadletter_changelist"))
        messages.success(request, f"Ordered: {order.found_text} messages, {order.rate_per_second} a second.")
        return _to_order(order.pk)

    def _must_see(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _page(self, request: HttpRequest, name: str, title: str, context: dict[str, Any]) -> TemplateResponse:
        shared = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "media": self.media,
            "may_requeue": request.user.has_perm(REQUEUE),
        }
        return TemplateResponse(request, f"outbox/dead_letters/{name}.html", {**shared, **context})


def _effects(choice: Choice | None) -> dict[str, Any]:
    effects = dead_letters.preview(choice) if choice else []
    return {
        "effects": effects,
        "requeued": sum(effect.requeued for effect in effects),
        "is_cut": dead_letters.is_cut(effects),
    }


def _to_order(pk: UUID) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:outbox_requeueorder_change", args=[pk]))


def _types() -> list[str]:
    """The types of dead messages; index outbox_dead_by_error holds them."""
    dead = OutboxMessage.objects.filter(state=OutboxMessage.State.DEAD)
    return list(dead.order_by("type").values_list("type", flat=True).distinct())
