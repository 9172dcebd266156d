"""A provider's breaker by hand: a page that asks why, then the act.

Guarantee: only by POST with a CSRF token, by somebody who may, with a reason, and on the breaker as the person saw it:
a second click, or one after the breaker moved, changes nothing and leaves no operator act.
"""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from orders_project import breakers
from outbox.verb import ReasonForm
from providers import breaker

from .snapshot import latest
from .views import OPERATE_BREAKER, VIEW


@dataclass(frozen=True, kw_only=True)
class Verb:
    label: str
    explanation: str


VERBS = {
    "open": Verb(
        label="Open the breaker",
        explanation="No call to this provider starts for so long; what needs one waits, and burns no attempt. Then one "
        "trial call decides, as always.",
    ),
    "try": Verb(
        label="Try it now",
        explanation="Half-opens the breaker: the next call is the trial. If it goes well the breaker closes, else it "
        "opens again, for longer.",
    ),
    "close": Verb(
        label="Close the breaker",
        explanation="Calls start at once, from every process. It opens again after as many failures in a row as ever.",
    ),
}


class BreakerForm(ReasonForm):
    """`epoch` is the breaker's as the person saw it."""

    epoch = forms.IntegerField(widget=forms.HiddenInput)


class OpenForm(BreakerForm):
    seconds = forms.FloatField(
        min_value=1, max_value=86_400, initial=breakers.OPEN_SECONDS, label="For so many seconds"
    )


@require_http_methods(["GET", "HEAD", "POST"])
def by_hand(request: HttpRequest, provider: str, verb: str) -> HttpResponse:
    """GET asks, POST does; then back to the live page, which says what became of it."""
    if not (request.user.has_perm(VIEW) and request.user.has_perm(OPERATE_BREAKER)):
        raise PermissionDenied
    if provider not in settings.PROVIDERS or verb not in VERBS:
        raise Http404
    kind = OpenForm if verb == "open" else BreakerForm
    form = kind(request.POST) if request.method == "POST" else kind(initial={"epoch": breaker.read(provider).epoch})
    if request.method != "POST" or not form.is_valid():
        return _question(request, provider, verb, form)
    _do(request, provider, verb, form.answers())
    return HttpResponseRedirect(reverse("live"))


def _question(request: HttpRequest, provider: str, verb: str, form: forms.Form) -> HttpResponse:
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"{VERBS[verb].label}: {provider}",
        "verb": VERBS[verb],
        "form": form,
    }
    return TemplateResponse(request, "operators/breaker_question.html", context)


def _do(request: HttpRequest, provider: str, verb: str, answers: dict[str, Any]) -> None:
    label = VERBS[verb].label
    if breakers.by_hand(verb, provider, who=request.user, **answers):
        messages.success(request, f"{label}: {provider}.")
    else:
        now = breaker.read(provider).state.replace("_", " ")
        messages.warning(
            request, f"{label}: {provider}'s breaker has moved since you looked, and is {now}. Nothing was changed."
        )
    latest.forget()
