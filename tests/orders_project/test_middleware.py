"""RequestMiddleware: names, measures and logs each request once, under its route."""

import pytest
from django.test import Client
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from orders_project import middleware

pytestmark = [pytest.mark.urls("tests.orders_project.faulty_api"), pytest.mark.django_db]


def observed(**labels: str) -> float:
    names = {"method": "GET", "status": "200", "replay": "false", **labels}
    return REGISTRY.get_sample_value("http_request_seconds_count", names) or 0.0


@pytest.fixture
def access_log(monkeypatch):
    """The lines of the access log: a fresh logger, because structlog's capture replaces the processors."""
    with capture_logs() as lines:
        yield lines


def test_an_id_of_the_callers_own_is_kept(client):
    assert client.get("/health/live", headers={"x-request-id": "a.b-1"}).headers["X-Request-ID"] == "a.b-1"


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\u00fcb", "<script>"])
def test_an_id_that_is_none_is_replaced(client, given):
    answered = client.get("/health/live", headers={"x-request-id": given}).headers["X-Request-ID"]
    assert answered != given
    assert len(answered) == 32


def test_a_request_is_measured_under_its_pattern_never_under_its_path(client):
    labels = {"route": "/problems/<slug:slug>"}
    before = observed(**labels)
    client.get("/problems/not-found")
    client.get("/problems/conflict")
    assert observed(**labels) == before + 2
    assert observed(route="/problems/not-found") == 0


def test_addresses_that_nothing_serves_share_one_label(client):
    before = observed(route="unknown", status="404")
    client.get("/no/such/1")
    client.get("/no/such/2")
    assert observed(route="unknown", status="404") == before + 2


def test_an_invented_method_cannot_invent_a_label(client):
    before = observed(route="/health/live", method="OTHER", status="405")
    client.generic("BREW", "/health/live")
    assert observed(route="/health/live", method="OTHER", status="405") == before + 1


def test_each_request_is_one_line_without_its_query(client, access_log):
    client.get("/health/live?token=secret", headers={"x-request-id": "r-1"})
    (line,) = [entry for entry in access_log if entry["event"] == "request"]
    assert {key: line[key] for key in ("method", "route", "path", "status", "user_id")} == {
        "method": "GET",
        "route": "/health/live",
        "path": "/health/live",
        "status": 200,
        "user_id": None,
    }


def test_a_refused_request_is_measured_and_logged_too(access_log):
    client = Client()
    before = observed(route="unknown", method="POST", status="413")
    client.post("/faulty/x", b"x" * 70_000, content_type="application/json")
    assert observed(route="unknown", method="POST", status="413") == before + 1
    assert [entry["status"] for entry in access_log if entry["event"] == "request"] == [413]


@pytest.mark.parametrize("length", ["*", "-1", "+1", "1_0", "0x10", "\u0663", " 5", "1e3"])
@pytest.mark.parametrize("path", ["/webhooks/payments", "/orders", "/admin/login/", "/api/auth-token/"])
@pytest.mark.urls("orders_project.urls")
def test_a_length_that_is_no_number_is_a_problem_on_every_route(client, path, length):
    answer = client.post(path, b"{}", content_type="application/json", CONTENT_LENGTH=length)

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/malformed-request"
    assert "Content-Length" in answer.json()["detail"]


def test_an_admin_form_may_be_larger_than_an_api_body(client):
    refused = client.post("/admin/login/", {"username": "x" * 70_000})
    assert refused.status_code == 200
    assert middleware._FORM_PATHS == ("/admin/",)
