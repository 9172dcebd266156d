"""Problem details: every kind of error becomes one document."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.http import Http404
from django.urls import get_resolver
from rest_framework import exceptions
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

from orders_project import problem_details, problem_types
from orders_project.problem_details import Problem, exception_handler, flatten

OWN_PACKAGES = ("orders_project", "orders", "inventory", "payments", "idempotency", "outbox", "sagas", "shipping")


def answer(exc: Exception, *, method="POST", renderer=None):
    request = SimpleNamespace(method=method, path="/orders", accepted_renderer=renderer)
    return exception_handler(exc, {"request": request})


def test_a_problem_has_the_members_of_rfc_9457():
    response = answer(Problem("order-already-ended", detail="Confirmed at noon."))
    assert response.data == {
        "type": "/problems/order-already-ended",
        "title": "Order already ended",
        "status": 409,
        "detail": "Confirmed at noon.",
        "instance": "/orders",
    }
    assert (response.status_code, response.content_type) == (409, "application/problem+json")


def test_a_problem_carries_its_errors_and_headers():
    faults = [{"detail": "gone", "pointer": "#/items/0/sku"}]
    response = answer(Problem("price-changed", errors=faults, headers={"Retry-After": "1"}))
    assert response.data["errors"] == faults
    assert response.headers["Retry-After"] == "1"


def test_a_problem_of_an_unknown_type_or_with_another_status_cannot_be_raised():
    with pytest.raises(KeyError):
        Problem("no-such-type")
    with pytest.raises(ValueError, match="status 409, not 400"):
        Problem("order-already-ended", status=400)


class KeyReused(exceptions.APIException):
    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = "Another body."
    headers = {"Retry-After": "7"}


def test_an_exception_of_an_app_below_names_its_type_by_its_code():
    response = answer(KeyReused())
    assert response.data["type"] == "/problems/idempotency-key-reused"
    assert (response.status_code, response.headers["Retry-After"]) == (422, "7")


def test_a_code_whose_type_has_another_status_falls_back_to_the_status():
    assert answer(exceptions.PermissionDenied(code="not_found")).data["type"] == "/problems/permission-denied"


@pytest.mark.parametrize(
    ("exc", "status", "slug"),
    [
        (exceptions.ParseError(), 400, "malformed-body"),
        (exceptions.ValidationError("no"), 400, "invalid-request"),
        (exceptions.NotAuthenticated(), 401, "not-authenticated"),
        (exceptions.AuthenticationFailed(), 401, "not-authenticated"),
        (exceptions.PermissionDenied(), 403, "permission-denied"),
        (exceptions.NotFound(), 404, "not-found"),
        (Http404(), 404, "not-found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method-not-allowed"),
        (exceptions.NotAcceptable(), 406, "not-acceptable"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported-media-type"),
        (exceptions.Throttled(wait=12), 429, "too-many-requests"),
        (exceptions.APIException(), 500, "internal-error"),
    ],
)
def test_every_exception_of_the_framework_has_a_type(exc, status, slug):
    response = answer(exc)
    assert (response.status_code, response.data["status"]) == (status, status)
    assert response.data["type"] == f"/problems/{slug}"
    assert response.content_type == "application/problem+json"


def test_a_status_without_a_type_is_about_blank_with_its_own_phrase():
    teapot = exceptions.APIException("short and stout", code="teapot")
    teapot.status_code = 418
    assert {k: answer(teapot).data[k] for k in ("type", "title")} == {"type": "about:blank", "title": "I'm a Teapot"}


def test_a_throttled_caller_learns_when_to_come_back():
    assert answer(exceptions.Throttled(wait=12)).headers["Retry-After"] == "12"
    assert answer(exceptions.Throttled(wait=0.2)).headers["Retry-After"] == "1"


def test_field_errors_are_flattened_with_pointers():
    detail = {
        "non_field_errors": ["never"],
        "items": [{}, {"quantity": ["too small", "odd"]}, {"a/b~c ü": ["x"]}],
        "currency": ["unknown"],
        "lines": {2: {"sku": ["gone"]}},
    }
    assert [(fault["pointer"], fault["detail"]) for fault in flatten(detail)] == [
        ("#", "never"),
        ("#/items/1/quantity", "too small"),
        ("#/items/1/quantity", "odd"),
        ("#/items/2/a~1b~0c%20%C3%BC", "x"),
        ("#/currency", "unknown"),
        ("#/lines/2/sku", "gone"),
    ]


def test_one_field_error_speaks_for_itself_and_several_are_counted():
    assert answer(exceptions.ValidationError({"sku": ["Gone."]})).data["detail"] == "Gone."
    assert answer(exceptions.ValidationError({"a": ["x"], "b": ["y"]})).data["detail"].startswith("2 values")


def test_a_query_parameter_is_named_instead_of_pointed_at():
    response = answer(exceptions.ValidationError({"status": ["no"]}), method="GET")
    assert response.data["errors"] == [{"detail": "no", "parameter": "status"}]


def test_a_bug_is_left_to_the_500_page():
    assert answer(ZeroDivisionError()) is None


def test_the_browsable_api_keeps_its_html():
    response = answer(exceptions.NotFound(), renderer=BrowsableAPIRenderer())
    assert response.content_type is None
    assert answer(exceptions.NotFound(), renderer=JSONRenderer()).content_type == problem_details.MEDIA_TYPE


def _own_exceptions(base: type[exceptions.APIException] = exceptions.APIException) -> Iterator[type]:
    for found in base.__subclasses__():
        if found.__module__.split(".")[0] in OWN_PACKAGES:
            yield found
        yield from _own_exceptions(found)


def test_every_error_of_an_app_names_a_type_of_the_table_with_its_status():
    # The URL configuration imports every view, and so every exception that one may raise.
    get_resolver().url_patterns  # noqa: B018 - read for the imports
    named = {error: (error.default_code.replace("_", "-"), error.status_code) for error in _own_exceptions()}
    known = {(row.slug, row.status) for row in problem_types.TYPES.values()}
    assert {error.__name__: pair for error, pair in named.items() if error is not Problem and pair not in known} == {}
    assert len(named) >= 10


def test_every_type_is_documented_and_nothing_else_is():
    page = (Path(settings.BASE_DIR) / "docs" / "problems.md").read_text()
    table = page.partition("| type |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| `")]
    documented = {(slug.strip(" `"), int(status), title.strip()) for slug, status, title in rows}
    assert documented == {(row.slug, row.status, row.title) for row in problem_types.TYPES.values()}
