"""Every error path, through the whole stack: the right status, a problem document, never a surprise."""

import json

import pytest
from django.conf import settings as configured
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token

from orders_project.problem_details import MEDIA_TYPE

pytestmark = [pytest.mark.urls("tests.orders_project.faulty_api"), pytest.mark.django_db]

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def problem(response, *, status: int, slug: str) -> dict:
    """The body of a problem that holds what RFC 9457 asks for."""
    assert (response.status_code, response.headers["Content-Type"]) == (status, MEDIA_TYPE)
    body = json.loads(response.content)
    assert (body["status"], body["type"]) == (status, f"/problems/{slug}")
    assert body["title"]
    assert body["detail"]
    assert response.headers["X-Request-ID"]
    return body


@pytest.mark.parametrize("where", ["faulty", "plain"])
@pytest.mark.parametrize(
    ("fault", "status", "slug"),
    [
        ("check", 409, "conflict"),
        ("unique", 409, "conflict"),
        ("not-null", 500, "internal-error"),
        ("data", 400, "invalid-request"),
        ("lock", 503, "service-unavailable"),
        ("deadlock", 503, "service-unavailable"),
        ("away", 503, "service-unavailable"),
        ("closed", 503, "service-unavailable"),
        ("recursion", 400, "malformed-request"),
        ("cursor", 400, "invalid-request"),
        ("surrogate", 400, "invalid-request"),
        ("suspicious", 400, "malformed-request"),
        ("bug", 500, "internal-error"),
    ],
)
def test_whatever_a_view_raises_is_a_problem(client, where, fault, status, slug):
    response = client.get(f"/{where}/{fault}")
    problem(response, status=status, slug=slug)
    assert ("Retry-After" in response.headers) is (status == 503)


@pytest.mark.parametrize("debug", [True, False])
def test_a_bug_tells_the_client_nothing_about_itself(client, settings, debug):
    settings.DEBUG = debug
    body = problem(client.get("/faulty/bug"), status=500, slug="internal-error")
    assert "ZeroDivision" not in json.dumps(body)


@pytest.mark.parametrize("debug", [True, False])
def test_an_unknown_path_is_a_404_problem_or_a_page_for_a_browser(client, settings, debug):
    settings.DEBUG = debug
    body = problem(client.get("/no/such/path"), status=404, slug="not-found")
    assert body["instance"] == "/no/such/path"
    page = client.get("/no/such/path", headers={"accept": BROWSER})
    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (404, "text/html")


def test_a_wrong_method_is_a_405_that_lists_the_right_ones(client):
    response = client.put("/faulty/check", "{}", content_type="application/json")
    problem(response, status=405, slug="method-not-allowed")
    assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
    outside = client.post("/health/live")
    problem(outside, status=405, slug="method-not-allowed")
    assert outside.headers["Allow"] == "GET, HEAD"


def test_a_format_nobody_serves_is_a_406(client):
    problem(client.get("/faulty/check", headers={"accept": "image/png"}), status=406, slug="not-acceptable")


def test_another_media_type_is_a_415(client):
    response = client.post("/faulty/x", "a=b", content_type="application/x-www-form-urlencoded")
    assert "application/json" in problem(response, status=415, slug="unsupported-media-type")["detail"]


def test_what_is_not_there_is_said_in_one_wording_and_one_format(client, admin_client):
    nowhere, no_order = client.get("/nowhere"), admin_client.get("/orders/01a1f94a-0000-7000-8000-000000000000")
    details = {problem(answer, status=404, slug="not-found")["detail"] for answer in (nowhere, no_order)}
    assert len(details) == 1
    refused = client.post("/faulty/x", headers={"transfer-encoding": "chunked"}, CONTENT_LENGTH="")
    for answer in (nowhere, no_order, refused):
        assert answer.content.startswith(b'{"type":"/problems/')


def test_an_anonymous_caller_gets_a_401_that_names_the_scheme(client):
    response = client.get("/products")
    problem(response, status=401, slug="not-authenticated")
    assert response.headers["WWW-Authenticate"] == "Token"


def test_a_wrong_token_is_a_401(client):
    problem(client.get("/products", headers={"authorization": "Token nope"}), status=401, slug="not-authenticated")


def test_a_host_that_is_not_ours_is_a_400(client):
    body = problem(client.get("/", headers={"host": "evil.example"}), status=400, slug="malformed-request")
    assert "errors" not in body


def test_a_field_error_points_at_its_field(client):
    response = post(client, {"items": [{"sku": "A", "quantity": 0}]})
    body = problem(response, status=400, slug="invalid-request")
    assert [fault["pointer"] for fault in body["errors"]] == ["#/items/0/quantity"]


def test_a_body_larger_than_the_limit_is_refused_unread(client):
    class Unread:
        def read(self, *_):
            raise AssertionError("the body was read")

        readline = read

    size = configured.REQUEST_BODY_MAX_BYTES + 1
    response = client.generic(
        "POST", "/faulty/x", content_type="application/json", CONTENT_LENGTH=str(size), **{"wsgi.input": Unread()}
    )
    problem(response, status=413, slug="body-too-large")


def test_a_body_of_unknown_length_is_a_411(client):
    response = client.post("/faulty/x", headers={"transfer-encoding": "chunked"}, CONTENT_LENGTH="")
    problem(response, status=411, slug="length-required")


@pytest.mark.django_db(transaction=True)
def test_a_dead_database_is_a_503_with_retry_after(client, monkeypatch):
    def refuse(*_, **__):
        raise OperationalError("connection refused")

    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.ensure_connection", refuse)
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", refuse)
    response = client.get("/products", headers={"authorization": "Token any"})
    problem(response, status=503, slug="service-unavailable")
    assert response.headers["Retry-After"] == "1"


def post(client: Client, body: object):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/faulty/x", raw, content_type="application/json")


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60)
_KEYS = st.sampled_from(["items", "sku", "quantity", "currency", "__proto__", "", "\x00"]) | st.text(max_size=5)
_JUNK = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=15
)
_LINES = st.lists(st.fixed_dictionaries({"sku": _JUNK, "quantity": _JUNK}), max_size=4)
# The fuzz of `make proof` sends twenty thousand.
_FUZZ = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_answered(response) -> None:
    assert response.status_code < 500, response.content
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == MEDIA_TYPE


@_FUZZ
@given(body=st.binary(max_size=200) | _JUNK | st.fixed_dictionaries({"items": _LINES | _JUNK, "currency": _JUNK}))
def test_garbage_in_a_body_is_never_a_5xx(client, body):
    assert_answered(post(client, body))


@_FUZZ
@given(
    path=st.text(max_size=40),
    query=st.dictionaries(st.sampled_from(["cursor", "status", "format", "currency", "page"]), st.text(max_size=20)),
    accept=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
)
@pytest.mark.parametrize("root", ["/", "/products/", "/products", "/idempotency-keys/", "/problems/", "/api/"])
def test_garbage_in_an_address_is_never_a_5xx(client, root, path, query, accept):
    user, _ = get_user_model().objects.get_or_create(username="fuzz")
    token, _ = Token.objects.get_or_create(user=user)
    response = client.get(root + path, query, headers={"accept": accept, "authorization": f"Token {token.key}"})
    assert response.status_code < 500
    if response.status_code >= 400 and "html" not in accept:
        assert response.headers["Content-Type"].partition(";")[0] in (MEDIA_TYPE, "text/html")


@_FUZZ
@given(body=st.binary(max_size=200) | _JUNK | st.fixed_dictionaries({"username": _JUNK, "password": _JUNK}))
def test_garbage_in_a_login_is_never_a_5xx(client, body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert_answered(client.post("/api/auth-token/", raw, content_type="application/json"))
