"""RequestMiddleware, the outermost: names the request, guards its size, measures and logs it, and answers in problems.

Guarantee: every answer carries `X-Request-ID`, is measured once under its route (never an id) and logged in one line;
a body that could never be read is refused before anybody reads it; an error leaves as problem details.
It does not guarantee authentication or idempotency: views do.
"""

import re
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject
from uuid_utils.compat import uuid7

from orders_project import logs, problem_details, tracing
from orders_project.problem_details import Problem
from orders_project.problem_sources import translate
from orders_project.telemetry import HTTP_REQUEST_SECONDS

logger = structlog.get_logger("orders_project.access")

REQUEST_ID_HEADER = "X-Request-ID"
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LENGTH = re.compile(r"[0-9]+")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Forms of people; Django's own DATA_UPLOAD_MAX_MEMORY_SIZE bounds them.
_FORM_PATHS = ("/admin/",)

Answer = Callable[[HttpRequest], HttpResponseBase]


class RequestMiddleware:
    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request_id = _request_id(request)
        with logs.afresh(request_id=request_id), tracing.serving(request) as span:
            response = problem_details.as_problem(request, self._answer(request))
            _write_headers(request, response, request_id)
            tracing.answered(span, request, response, route=route_of(request), user_id=_user_id(request))
            _record(request, response, seconds=time.perf_counter() - started)
        return response

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        """For views outside REST framework: an outage of Postgres is a 503 there too; bugs stay Django's."""
        problem = translate(exc)
        if problem is None or (problem.status_code < 500 and problem_details.wants_html(request)):
            return None
        return problem_details.response_for(request, problem)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        refusal = _refusal(request)
        return problem_details.response_for(request, refusal) if refusal else self.get_response(request)


def _refusal(request: HttpRequest) -> Problem | None:
    """What the headers alone make hopeless, so that the body is never read."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and request.META.get("HTTP_TRANSFER_ENCODING"):
        return Problem("length-required")
    if not length:
        return None
    # RFC 9110, 8.6: digits only. Most servers refuse the rest themselves; Django would fail where it reads the body.
    if not _LENGTH.fullmatch(length):
        return Problem("malformed-request", detail="Content-Length is not a number of bytes.")
    if request.path.startswith(_FORM_PATHS):
        return None
    if len(length) > 18 or int(length) > settings.REQUEST_BODY_MAX_BYTES:
        return Problem("body-too-large", detail=f"The body is larger than {settings.REQUEST_BODY_MAX_BYTES} bytes.")
    return None


def _request_id(request: HttpRequest) -> str:
    """The caller's own id when it is one, so that both logs can be read together."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _ACCEPTABLE_ID.fullmatch(given) else uuid7().hex


def _write_headers(request: HttpRequest, response: HttpResponseBase, request_id: str) -> None:
    response.headers[REQUEST_ID_HEADER] = request_id
    if allowance := getattr(request, "allowance", None):
        for name, value in allowance.headers.items():
            response.headers[name] = value


def _record(request: HttpRequest, response: HttpResponseBase, *, seconds: float) -> None:
    route = route_of(request)
    replay = response.headers.get("Idempotent-Replay", "false")
    method = request.method if request.method in _METHODS else "OTHER"
    HTTP_REQUEST_SECONDS.labels(route, method, response.status_code, replay).observe(seconds)
    logger.info(
        "request",
        method=method,
        route=route,
        path=request.path,
        status=response.status_code,
        duration_ms=round(seconds * 1000, 1),
        user_id=_user_id(request),
    )


def _user_id(request: HttpRequest) -> int | None:
    """Whose request it was: a session's user once somebody asked for it, or whom REST framework recognised."""
    user = vars(request).get("user")
    if isinstance(user, SimpleLazyObject) and "_cached_user" not in vars(request):
        return None
    return getattr(user, "pk", None)


def route_of(request: HttpRequest) -> str:
    """The URL pattern, so that a label never holds an id; one word for all addresses that nothing serves."""
    match = request.resolver_match
    return f"/{match.route}" if match is not None else "unknown"
