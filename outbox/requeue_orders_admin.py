"""Requeue orders in the admin: how far each is, what became of its messages, and pause, resume, cancel."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from . import requeue_orders
from .choice import COUNTED_MAX
from .dead_letters_admin import REQUEUE, SeenWithMessages
from .models import OutboxMessage, RequeueOrder
from .operator_admin import Advice, OperatorAdmin
from .read_only_admin import acts_link, brief
from .verb import Verb

Status = RequeueOrder.Status
FRAGMENT = "outbox/dead_letters/progress.html"


class RequeueOrderAdmin(SeenWithMessages, OperatorAdmin):
    list_display = ("what", "status", "count", "rate", "person", "ordered_at", "ended_at")
    list_filter = ("status",)
    list_select_related = ("who",)
    fieldsets = (
        (None, {"fields": ("progress",), "classes": ("wide",)}),
        ("The order", {"fields": ("what", "reason", "person", "rate", "ordered_at", "ended_at", "related")}),
    )
    verbs = (
        Verb(
            name="pause",
            label="Pause",
            permission=REQUEUE,
            explanation="Holds the order where it is. What it has made due stays due.",
            perform=requeue_orders.pause,
        ),
        Verb(
            name="resume",
            label="Go on",
            permission=REQUEUE,
            explanation="Lets a paused order go on, at its rate.",
            perform=requeue_orders.resume,
        ),
        Verb(
            name="cancel",
            label="Cancel",
            permission=REQUEUE,
            explanation="Ends the order. What it has made due stays due; what it has not reached stays dead.",
            perform=requeue_orders.cancel,
        ),
    )

    class Media:
        js = ("outbox/refresh.js",)

    def get_urls(self) -> list[URLPattern]:
        fragment = self.admin_site.admin_view(self.progress_view)
        return [path("<uuid:pk>/progress/", fragment, name="outbox_requeueorder_progress"), *super().get_urls()]

    def progress_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The part of the page that moves, for the page's script."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        order = RequeueOrder.objects.filter(pk=pk).first()
        if order is None:
            raise Http404
        return render(request, FRAGMENT, _progress(order))

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # Index one_requeue_order_under_way_per_choice has those that are under way.
        return not chosen or chosen.get("status__exact") in {Status.OPEN, Status.PAUSED}

    def offered(self, row: RequeueOrder) -> Collection[str]:
        return {Status.OPEN: ["pause", "cancel"], Status.PAUSED: ["resume", "cancel"]}.get(Status(row.status), [])

    def advice(self, row: RequeueOrder) -> Advice:
        paused = row.status == Status.PAUSED
        return (
            Advice(sentence="Paused by a person: it goes on when you say so.", helpful=["resume"])
            if paused
            else Advice()
        )

    @admin.display(description="progress")
    def progress(self, order: RequeueOrder) -> SafeString:
        address = reverse("admin:outbox_requeueorder_progress", args=[order.pk])
        fragment = render_to_string(FRAGMENT, _progress(order))
        live = address if order.status in {Status.OPEN, Status.PAUSED} else ""
        return format_html(
            '<div class="requeue-progress" data-refresh="{}" aria-live="polite">{}</div>', live, fragment
        )

    @admin.display(description="what")
    def what(self, order: RequeueOrder) -> SafeString | str:
        if not order.error_pattern:
            return str(order.choice)
        return format_html("{}<br><small>{}</small>", brief(order.error_pattern), order.choice)

    @admin.display(description="requeued")
    def count(self, order: RequeueOrder) -> str:
        return f"{order.requeued:,} of {order.found_text}"

    @admin.display(description="rate")
    def rate(self, order: RequeueOrder) -> str:
        return f"{order.rate_per_second:,} a second"

    @admin.display(description="who")
    def person(self, order: RequeueOrder) -> str:
        return str(order.who) if order.who else "command line"

    @admin.display(description="related")
    def related(self, order: RequeueOrder) -> SafeString:
        left = f"{reverse('admin:outbox_deadletter_changelist')}?{urlencode(order.choice.given())}"
        return format_html('<a href="{}">what is dead of it now</a> · {}', left, acts_link("requeueorder", order.pk))


def _progress(order: RequeueOrder) -> dict[str, Any]:
    """How far an order is, for people. What it found may have been skipped or requeued by others meanwhile."""
    became = requeue_orders.outcome(order)
    left = max(order.found - order.requeued, 0) if order.status in {Status.OPEN, Status.PAUSED} else 0
    return {
        "order": order,
        "left": left,
        "looked_at": COUNTED_MAX if sum(became.values()) >= COUNTED_MAX else None,
        "left_seconds": -(-left // order.rate_per_second),
        "done": became.get(OutboxMessage.State.DONE, 0),
        "under_way": became.get(OutboxMessage.State.OPEN, 0),
        "dead": became.get(OutboxMessage.State.DEAD, 0),
        "skipped": became.get(OutboxMessage.State.SKIPPED, 0),
    }
