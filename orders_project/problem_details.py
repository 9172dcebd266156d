"""Problem details (RFC 9457): turns every error of the API into one `application/problem+json` document.

Guarantee: an exception that a view raised, and an error page that Django made for a client that did not ask for HTML,
leave as a problem whose `status` is the real one. An app below this one raises any `APIException` whose code names a
row of `problem_types.TYPES` (`order_already_ended`), and may set `errors` and `headers` on it.
It does not guarantee that a bug is answered with anything but a 500; the browsable API keeps its HTML.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from orders_project import problem_types
from orders_project.problem_sources import translate

MEDIA_TYPE = "application/problem+json"
# Bodies that Django wrote for people; whatever else carries an error status chose its own words.
_PLAIN_MEDIA_TYPES = ("text/html", "text/plain")
_HTML_FORMATS = ("api", "html", "admin")
_BODILESS_METHODS = ("GET", "HEAD")
# What these errors say does not depend on the occurrence: one wording, ours.
_IN_OUR_WORDS = ("not-acceptable", "unsupported-media-type")

Fault = dict[str, str]


class Problem(APIException):
    """An error with a type of its own; `type` is a slug of `problem_types.TYPES`, errors are {detail, pointer}."""

    def __init__(
        self,
        type: str,  # noqa: A002 - RFC 9457's own word
        *,
        detail: str | None = None,
        status: int | None = None,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        row = problem_types.TYPES[type]
        if status not in (None, row.status):
            raise ValueError(f"a {type} problem has status {row.status}, not {status}")
        super().__init__(detail or row.meaning, code=type)
        self.status_code = row.status
        self.errors = list(errors)
        self.headers = dict(headers or {})


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """REST framework's EXCEPTION_HANDLER; None lets a bug go on to Django's 500, which `as_problem` then rewrites."""
    problem = exc if isinstance(exc, APIException) else translate(exc)
    if problem is None:
        return None
    request: Request = context["request"]
    response = Response(document(problem, request), status=problem.status_code, headers=_headers(problem))
    _choose_media_type(request, response)
    return response


def as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Rewrites an error page written for people into a problem, unless the client asked for HTML."""
    if not isinstance(response, HttpResponse) or not _is_error_page(response) or wants_html(request):
        return response
    # Django's own 400 is about the request as such (a host that is not ours); values are refused by REST framework.
    code = "malformed-request" if response.status_code == 400 else None
    kind = problem_types.find(code=code, status=response.status_code)
    detail = kind.meaning if kind else response.reason_phrase
    _write(response, _document(kind=kind, status=response.status_code, detail=detail, path=request.path))
    return response


def response_for(request: HttpRequest, problem: APIException) -> HttpResponse:
    """The answer of a view or a middleware outside REST framework: a problem, or one line for a browser."""
    if wants_html(request):
        kind = problem_types.find(code=_code(problem), status=problem.status_code)
        response = HttpResponse(f"<h1>{kind.title if kind else problem.status_code}</h1>", status=problem.status_code)
    else:
        response = HttpResponse(status=problem.status_code)
        _write(response, document(problem, request))
    for name, value in _headers(problem).items():
        response.headers[name] = value
    return response


def wants_html(request: HttpRequest) -> bool:
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def document(problem: APIException, request: Request | HttpRequest) -> dict[str, Any]:
    """The problem's members, in the order people read them."""
    kind = problem_types.find(code=_code(problem), status=problem.status_code)
    errors = list(_faults(problem, in_body=request.method not in _BODILESS_METHODS))
    detail = _detail(problem, kind, errors)
    body = _document(kind=kind, status=problem.status_code, detail=detail, path=request.path)
    return {**body, "errors": errors} if errors else body


def flatten(detail: Any, pointer: str = "#") -> Iterator[Fault]:
    """Every message of a nested validation error with the JSON pointer of the value it is about."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            of_the_whole = key == api_settings.NON_FIELD_ERRORS_KEY
            yield from flatten(inner, pointer if of_the_whole else pointer_below(pointer, key))
    elif isinstance(detail, (list, tuple)):
        for index, inner in enumerate(detail):
            yield from flatten(inner, pointer if isinstance(inner, str) else pointer_below(pointer, index))
    else:
        yield {"detail": str(detail), "pointer": pointer}


def pointer_below(pointer: str, key: object) -> str:
    """RFC 6901 §3 escapes, then §6: percent-encoded as a URI fragment."""
    return f"{pointer}/{quote(str(key).replace('~', '~0').replace('/', '~1'), safe='~')}"


def _faults(problem: APIException, *, in_body: bool) -> Iterator[Fault]:
    yield from getattr(problem, "errors", ())
    if not isinstance(problem, ValidationError):
        return
    for fault in flatten(problem.detail):
        # A query parameter has no place in a body to point at.
        yield fault if in_body else {"detail": fault["detail"], "parameter": fault["pointer"].lstrip("#/")}


def _detail(problem: APIException, kind: problem_types.ProblemType | None, errors: Sequence[Fault]) -> str:
    if kind is not None and (kind.slug in _IN_OUR_WORDS or problem.detail == NotFound.default_detail):
        return kind.meaning
    if not isinstance(problem.detail, (list, dict)):
        return str(problem.detail)
    if len(errors) == 1:
        return errors[0]["detail"]
    return f"{len(errors)} values are not acceptable; `errors` lists them."


def _code(problem: APIException) -> str | None:
    if isinstance(problem.detail, (list, dict)):
        return problem.default_code
    return problem.detail.code


def _document(*, kind: problem_types.ProblemType | None, status: int, detail: str, path: str) -> dict[str, Any]:
    return {
        "type": kind.uri if kind else "about:blank",
        "title": kind.title if kind else HttpResponse(status=status).reason_phrase,
        "status": status,
        "detail": detail,
        "instance": escape_uri_path(path),
    }


def _headers(problem: APIException) -> dict[str, str]:
    headers = dict(getattr(problem, "headers", {}))
    if auth_header := getattr(problem, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if (wait := getattr(problem, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, int(wait)))
    return headers


def _choose_media_type(request: Request, response: Response) -> None:
    """JSON unless the view was about to answer a person: also where negotiation itself failed, or chose YAML."""
    renderer = getattr(request, "accepted_renderer", None)
    if renderer is not None and renderer.format in _HTML_FORMATS:
        return
    request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    response.content_type = MEDIA_TYPE


def _is_error_page(response: HttpResponse) -> bool:
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    return response.status_code >= 400 and media_type in _PLAIN_MEDIA_TYPES


def _write(response: HttpResponse, body: Mapping[str, Any]) -> None:
    # As REST framework writes its own: a client sees one format.
    response.content = JSONRenderer().render(body)
    response.headers["Content-Type"] = MEDIA_TYPE
    response.headers["Content-Length"] = str(len(response.content))
