"""@idempotent: one execution per caller, route and Idempotency-Key; every repetition gets the same bytes (I2).

Guarantee: the claim of the key, the method's work and the rendered answer commit together or not at all; a twin waits
for the first's answer, within bounds. Any answer but a success undoes everything and is not stored. Authentication,
permissions and throttling come first: REST framework runs them before the method that this wraps.
Not guaranteed: anything about a retry without a key, beyond that its work is one transaction too.

Source: draft-ietf-httpapi-idempotency-key-header-07.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import uuid_utils.compat as uuid_utils
from django.db import InterfaceError, OperationalError, connection, transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import NotAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import keys, services, telemetry
from .conf import conf
from .exceptions import AnswerTooLarge, KeyInUse, KeyMissing, KeyReused, OutcomeUnknown
from .services import StoredAnswer, Use

# Never a cookie, never a token.
STORED_HEADERS = ("Content-Type", "Location")
REPLAY_HEADERS = {"Idempotent-Replay": "true", "Idempotent-Replayed": "true"}


class ViewMethod(Protocol):
    def __call__(self, view: Any, request: Request, /, *args: Any, **kwargs: Any) -> HttpResponseBase: ...


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One request's way through its view: what to run, and how to learn later whether it happened."""

    view: APIView
    request: Request
    run: Callable[[], HttpResponseBase]
    has_landed: Callable[[], bool] | None = None


def idempotent(*, has_landed: Callable[[Any], bool] | None = None) -> Callable[[ViewMethod], ViewMethod]:
    """Wraps a REST framework view's method for POST, PUT, PATCH or DELETE.

    `has_landed(view)` tells on a fresh connection whether a request without a key has committed, by an id that the view
    chose before. Raises KeyMissing, KeyInvalid, KeyInUse, KeyReused, OutcomeUnknown.
    """

    def decorate(method: ViewMethod) -> ViewMethod:
        @functools.wraps(method)
        def wrapped(view: APIView, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            landed = functools.partial(has_landed, view) if has_landed else None
            run = functools.partial(method, view, request, *args, **kwargs)
            return _execute(Execution(view=view, request=request, run=run, has_landed=landed))

        return wrapped

    return decorate


def _execute(execution: Execution) -> HttpResponseBase:
    key = keys.parse(execution.request.headers.get("Idempotency-Key"))
    if key is None:
        if conf().required:
            raise KeyMissing
        return _in_one_transaction(execution.run, execution.has_landed)
    use = _use(execution.request, key)
    try:
        return _in_one_transaction(
            functools.partial(_claim_and_run, execution, use), functools.partial(services.has_landed, use)
        )
    except (KeyInUse, KeyReused):
        telemetry.IDEMPOTENCY_CONFLICTS.inc()
        raise


def _use(request: Request, key: str) -> Use:
    if request.user is None or not request.user.is_authenticated:
        # A key without a caller would be everybody's.
        raise NotAuthenticated
    return Use(
        id=uuid_utils.uuid7(),
        caller=caller_of(request),
        method=str(request.method),
        path=request.path,
        key=key,
        fingerprint=keys.fingerprint(request.data),
    )


def caller_of(request: Request) -> str:
    """The scope of an authenticated caller's keys."""
    return f"user:{request.user.pk}"


def _claim_and_run(execution: Execution, use: Use) -> HttpResponseBase:
    """The transaction's content: claim, work, answer. A use before us answers for us."""
    if answer := services.claim(use):
        return _replay(answer)
    response = execution.run()
    if _is_success(response):
        services.store(use, _rendered(execution, response))
    return response


def _in_one_transaction(
    work: Callable[[], HttpResponseBase], has_landed: Callable[[], bool] | None
) -> HttpResponseBase:
    response: HttpResponseBase | None = None
    try:
        with transaction.atomic(durable=True):
            response = work()
            if not _is_success(response):
                transaction.set_rollback(True)
    except (OperationalError, InterfaceError) as error:
        if response is None:
            raise
        # Only COMMIT was left to fail, and a COMMIT that fails may have happened.
        _look_up(has_landed, error)
    return response


def _look_up(has_landed: Callable[[], bool] | None, lost_reply: Exception) -> None:
    """Returns if the lost commit is there, seen on a fresh connection. Raises OutcomeUnknown."""
    connection.close()
    try:
        if has_landed is not None and has_landed():
            telemetry.UNKNOWN_COMMITS.labels("landed").inc()
            return
    except (OperationalError, InterfaceError) as error:
        telemetry.UNKNOWN_COMMITS.labels("unreachable").inc()
        raise OutcomeUnknown from error
    telemetry.UNKNOWN_COMMITS.labels("absent").inc()
    # Absent is not "rolled back": the server may still be about to commit.
    raise OutcomeUnknown from lost_reply


def _is_success(response: HttpResponseBase) -> bool:
    return 200 <= response.status_code < 300


def _replay(answer: StoredAnswer) -> HttpResponse:
    telemetry.IDEMPOTENCY_REPLAYS.inc()
    return HttpResponse(answer.body, status=answer.status_code, headers={**answer.headers, **REPLAY_HEADERS})


def _rendered(execution: Execution, response: HttpResponseBase) -> StoredAnswer:
    """The answer as JSON bytes. The browsable API's page is for one reader and is not stored."""
    if isinstance(response, Response):
        body = _render_json(execution, response)
    else:
        body = bytes(getattr(response, "content", b""))
    if len(body) > conf().stored_answer_max_bytes:
        raise AnswerTooLarge(f"{len(body)} bytes for {execution.request.path}")
    headers = {name: response.headers[name] for name in STORED_HEADERS if name in response.headers}
    if isinstance(response, Response):
        headers["Content-Type"] = JSONRenderer.media_type
    return StoredAnswer(
        status_code=response.status_code,
        body=body,
        headers=headers,
        resource_id=_resource_id(response),
    )


def _render_json(execution: Execution, response: Response) -> bytes:
    renderer = execution.request.accepted_renderer
    if not isinstance(renderer, JSONRenderer):
        return bytes(JSONRenderer().render(response.data))
    response.accepted_renderer = renderer
    response.accepted_media_type = execution.request.accepted_media_type
    context = execution.view.get_renderer_context()
    response.renderer_context = context  # type: ignore[attr-defined]  # as APIView.finalize_response sets it
    response.render()
    return bytes(response.content)


def _resource_id(response: HttpResponseBase) -> str:
    data = getattr(response, "data", None)
    return str(data.get("id", "")) if isinstance(data, dict) else ""
