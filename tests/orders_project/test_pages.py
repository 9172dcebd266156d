"""Pages for people: the front door, the browsable API, the documentation and what a problem type means."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from rest_framework.authtoken.models import Token

from orders_project.problem_types import TYPES

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return get_user_model().objects.create_user("ada", password="a long password")


def test_the_front_door_links_to_what_is_there(client):
    links = client.get("/").json()
    assert {"orders", "products", "docs", "admin"} <= set(links)
    assert {client.get(url).status_code for name, url in links.items() if name in ("docs", "schema", "ready")} == {200}


def test_the_front_door_offers_a_login_and_then_greets(client, ada):
    assert b"/api-auth/login/" in client.get("/", headers=BROWSER).content
    client.force_login(ada)
    assert b"ada" in client.get("/", headers=BROWSER).content


@pytest.mark.parametrize("path", ["/", "/orders", "/products"])
def test_the_browsable_api_renders_for_someone_logged_in(client, ada, path):
    client.force_login(ada)
    response = client.get(path, headers=BROWSER)
    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (200, "text/html")


def test_an_error_in_the_browsable_api_stays_a_page_with_the_problem_in_it(client, ada):
    client.force_login(ada)
    response = client.get("/idempotency-keys/none", headers=BROWSER)
    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (404, "text/html")
    assert b"/problems/not-found" in response.content


def test_a_password_buys_a_token_and_a_wrong_one_does_not(client, ada):
    def log_in(password: str):
        return client.post("/api/auth-token/", {"username": "ada", "password": password}, "application/json")

    assert log_in("a long password").json() == {"token": Token.objects.get(user=ada).key}
    refused = log_in("wrong")
    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/invalid-request")


def test_the_schema_is_complete_without_a_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_the_documentation_loads_nothing_from_elsewhere(client):
    page = client.get("/api/docs/", headers=BROWSER).content.decode()
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", page)
    assert addresses
    assert not [address for address in addresses if address.startswith(("http:", "https:", "//"))]
    assert "://" not in page.replace("http://testserver", "")


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_the_documentation_is_only_read(client, method):
    """Found by the fuzz: OPTIONS was a 500."""
    answer = client.generic(method, "/api/docs/")
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")


@pytest.mark.parametrize("row", TYPES.values(), ids=TYPES)
def test_a_problem_type_tells_what_it_means(client, row):
    page = client.get(row.uri)
    assert page.status_code == 200
    assert row.title in page.content.decode()


def test_an_invented_problem_type_is_a_404(client):
    assert client.get("/problems/no-such").status_code == 404


def test_the_list_of_problems_links_to_each(client):
    page = client.get("/problems/").content.decode()
    assert [row.uri for row in TYPES.values() if f'href="{row.uri}"' not in page] == []


def test_a_browser_gets_the_icon_that_it_asks_for_on_every_page(client):
    icon = client.get("/favicon.ico", headers=BROWSER)
    assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml")


def test_the_documentation_shows_how_to_get_a_token_and_two_orders_that_are_taken(client):
    schema = client.get("/api/schema/?format=json").json()["paths"]
    token = schema["/api/auth-token/"]["post"]
    assert (token["summary"], token["tags"]) == ("A token for a user name and a password", ["authentication"])
    examples = schema["/orders"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert [sorted(example["value"]) for example in examples.values()] == [
        ["currency", "items", "payment_method"],
        ["currency", "quantity", "sku", "unit_price"],
    ]
