"""The live page and its refreshing part: the same panels, once inside the admin's frame and once alone.

Guarantee: whoever may view outbox messages sees figures, never a row's id nor a payload; what changes something asks
first (breaker_views.py). Not guaranteed: that a link can be followed; each list has its own permission.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from . import drawing, page, symptoms
from .snapshot import Snapshot, latest

VIEW = "outbox.view_outboxmessage"
OPERATE_BREAKER = "providers.operate_breaker"
# Between two looks of the script; a snapshot lives for a little less.
REFRESH_MILLISECONDS = 2_500


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The whole page; without a script, as it is now."""
    context = {**admin.site.each_context(request), "title": "Live", "refresh_ms": REFRESH_MILLISECONDS}
    return _answer(request, "operators/live.html", context)


@require_safe
def panels(request: HttpRequest) -> HttpResponse:
    """What the script puts in the place of what is there."""
    return _answer(request, "operators/panels.html", {})


def _answer(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    context |= shown(latest.get()) | {"may_operate_breakers": request.user.has_perm(OPERATE_BREAKER)}
    return TemplateResponse(request, template, context)


def shown(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as the templates want it."""
    pace = snapshot.known("orders")
    return {
        "snapshot": snapshot,
        "figures": snapshot.figures,
        "symptoms": symptoms.of(snapshot),
        "vitals": page.vitals(snapshot),
        "chart": drawing.chart(pace) if pace else None,
        "groups": page.saga_groups(snapshot.known("sagas") or ()),
        "waiting": page.waiting(snapshot.known("waiting") or ()),
        "steps": page.steps(snapshot.known("steps") or ()),
        "pulses": page.pulses(snapshot.known("heartbeats") or ()),
    }
