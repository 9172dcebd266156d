"""The curl recipes of the documents do what the documents say, and every error body shown is one the API gives."""

import json
import re
import shlex
from typing import Any

import pytest
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from orders.models import Order
from orders_project.problem_types import TYPES
from tests.docs.pages import page, pages
from tests.inventory.builders import stocked
from tests.orders.builders import customer

BASE = re.compile(r"^http://127\.0\.0\.1:\d+|^\$B")
FLAGS_WITH_VALUE = {"-H": "header", "-d": "data", "-X": "method"}
RECIPE = re.compile(r"""curl -s(?:[^'"\n|;)]|'[^']*'|"[^"]*")*""")
ALL_RECIPES = [
    pytest.param(recipe, id=f"{one.path}-{number}")
    for one in pages()
    for number, recipe in enumerate(
        recipe for fence in one.fences("sh") for recipe in RECIPE.findall(fence.replace("\\\n", " "))
    )
]


@pytest.fixture
def client(db: None) -> APIClient:
    for sku in ("WIDGET", "GIZMO", "UNSHIPPABLE", "SOLD-OUT"):
        stocked(sku, 100)
    ann = APIClient()
    ann.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=customer('ann')).key}")
    return ann


def request_of(recipe: str) -> dict[str, Any]:
    """Method, path, headers and body of a curl command line."""
    words = iter(shlex.split(recipe)[1:])
    found: dict[str, Any] = {"headers": {}, "method": None, "body": None, "path": None}
    for word in words:
        if word in FLAGS_WITH_VALUE:
            value = next(words)
            if word == "-H":
                name, _, text = value.partition(": ")
                found["headers"][name] = text
            elif word == "-d":
                found["body"] = value
            else:
                found["method"] = value
        elif not word.startswith("-"):
            found["path"] = BASE.sub("", word)
    found["method"] = found["method"] or ("POST" if found["body"] else "GET")
    return found


def send(client: APIClient, recipe: str) -> Any:
    asked = request_of(recipe)
    headers = {name: text for name, text in asked["headers"].items() if name not in {"Authorization", "Content-Type"}}
    return client.generic(
        asked["method"], asked["path"], asked["body"] or "", content_type="application/json", headers=headers
    )


def test_the_readmes_recipe_sent_twice_is_one_order_and_the_same_bytes(client):
    recipe = re.search(r"curl -si.*?(?=; echo)", page("README.md").text.replace("\\\n", " "), re.DOTALL)[0]

    first, second = send(client, recipe), send(client, recipe)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first["Location"] == second["Location"] == f"/orders/{first.json()['id']}"
    assert "Idempotent-Replay" not in first
    assert second["Idempotent-Replay"] == second["Idempotent-Replayed"] == "true"
    assert Order.objects.count() == 1


def test_what_the_readme_shows_has_the_shape_and_the_length_of_what_comes_back(client):
    text = page("README.md").text
    shown = json.loads(next(line for line in text.splitlines() if line.startswith('{"id"')))
    length = len(json.dumps(shown, separators=(",", ":")))

    answer = send(client, """curl http://x/orders -d '{"sku": "WIDGET", "quantity": 3}'""".replace("http://x", ""))

    assert f"Content-Length: {length}" in text
    assert answer.json().keys() == shown.keys()
    assert {name: shown[name] for name in ("status", "currency", "total", "items")} == {
        name: answer.json()[name] for name in ("status", "currency", "total", "items")
    }


@pytest.mark.parametrize("recipe", ALL_RECIPES)
def test_every_recipe_is_a_request_that_the_api_serves(client, recipe):
    recipe = recipe.replace('"$1"', """'{"sku": "WIDGET", "quantity": 1}'""")
    if re.search(r"/\$(ID|1)\b", recipe):
        placed = client.post("/orders", {"sku": "WIDGET", "quantity": 1}, format="json").json()
        recipe = re.sub(r"\$(ID|1)\b", placed["id"], recipe)
    if "/idempotency-keys/" in recipe:
        key = recipe.split("/idempotency-keys/")[1].split()[0]
        client.post("/orders", {"sku": "WIDGET", "quantity": 1}, format="json", headers={"Idempotency-Key": key})

    assert send(client, recipe).status_code in {200, 201, 202}, recipe


def test_every_problem_shown_is_one_of_the_table():
    shown = [
        json.loads(example)
        for example in page("docs/api.md").fences("json")
        if '"type": "/problems/' in example or '"type":"/problems/' in example
    ]

    assert len(shown) >= 15
    for problem in shown:
        kind = TYPES[problem["type"].removeprefix("/problems/")]
        assert (problem["status"], problem["title"]) == (kind.status, kind.title)


def test_every_problem_type_has_an_example_or_says_why_not():
    text = page("docs/api.md").text

    assert [slug for slug in TYPES if f"/problems/{slug}" not in text and f"`{slug}`" not in text] == []
