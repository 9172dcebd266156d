"""What every answer must be, whatever was asked: never a 5xx, and every error a documented problem document."""

from orders_project.problem_details import MEDIA_TYPE
from orders_project.problem_types import TYPES

from .wire import Answer, Request

BY_URI = {kind.uri: kind for kind in TYPES.values()}
# docs/problems.md: what the web server itself refuses never reaches the API; 501 is for a transfer coding that nobody
# knows (RFC 9112 §6.1), and the one answer above 500 that is right.
SERVERS_OWN = {400, 414, 417, 431, 501}


class Broken(AssertionError):
    """An answer that no request may get."""


def check(request: Request, answer: Answer, *, behind_a_server: bool = False) -> None:
    """Raises Broken."""
    if behind_a_server and is_the_servers_own(answer):
        return
    if answer.status >= 500:
        raise Broken(f"{answer.status}: {answer.body[:500]!r}")
    if "x-request-id" not in answer.headers:
        raise Broken(f"{answer.status} without X-Request-ID")
    if answer.status >= 400:
        _check_problem(request, answer)
    elif answer.media_type == "application/json" and request.method != "HEAD":
        _json(answer)


def is_the_servers_own(answer: Answer) -> bool:
    """Short HTML without a request id, of a request that was no HTTP."""
    return answer.status in SERVERS_OWN and "x-request-id" not in answer.headers and answer.media_type == "text/html"


def _check_problem(request: Request, answer: Answer) -> None:
    if answer.media_type == "text/html" and _asked_for_html(request):
        return
    if answer.media_type != MEDIA_TYPE:
        raise Broken(f"{answer.status} as {answer.media_type!r}: {answer.body[:200]!r}")
    if request.method == "HEAD":
        return
    body = _json(answer)
    if not isinstance(body, dict) or not {"type", "title", "status", "detail", "instance"} <= body.keys():
        raise Broken(f"not the members of a problem: {body!r}")
    kind = BY_URI.get(body["type"])
    if kind is None or (kind.status, kind.title) != (answer.status, body["title"]) or body["status"] != answer.status:
        raise Broken(f"not in the table of problems with status {answer.status}: {body!r}")


def _asked_for_html(request: Request) -> bool:
    """A browser's Accept, or the browsable API's own `?format=api`."""
    accept = {name.lower(): value for name, value in request.headers.items()}.get("accept", "")
    return "html" in accept or b"format=" in request.query


def _json(answer: Answer) -> object:
    try:
        return answer.json()
    except ValueError as error:
        raise Broken(f"{answer.status}: not JSON: {answer.body[:200]!r}") from error
