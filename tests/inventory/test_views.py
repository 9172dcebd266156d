"""`GET /products`: what can be ordered, at which price, in pages."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from inventory import services
from inventory.models import Product
from tests.inventory.builders import stocked

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> APIClient:
    api = APIClient()
    api.force_authenticate(User.objects.create(username="ann"))
    return api


def test_a_product_is_listed_once_per_currency_with_what_is_free(client: APIClient):
    stocked("WIDGET", 10, EUR=999, JPY=1600)
    services.reserve({uuid7(): [("WIDGET", 3)]})
    assert client.get("/products").json()["results"] == [
        {"sku": "WIDGET", "name": "Widget", "currency": "EUR", "unit_price": "9.99", "available": 7},
        {"sku": "WIDGET", "name": "Widget", "currency": "JPY", "unit_price": "1600", "available": 7},
    ]


def test_a_product_that_is_not_sold_any_more_is_not_listed(client: APIClient):
    stocked("WIDGET", 10)
    stocked("OLD", 10)
    Product.objects.filter(sku="OLD").update(active=False)
    assert [row["sku"] for row in client.get("/products").json()["results"]] == ["WIDGET"]


def test_a_product_without_stock_has_nothing_available(client: APIClient):
    stocked("WIDGET", 10).delete()
    assert client.get("/products").json()["results"][0]["available"] == 0


def test_the_catalogue_is_filtered_by_currency(client: APIClient):
    stocked("WIDGET", 10, EUR=999, JPY=1600)
    assert [row["currency"] for row in client.get("/products?currency=JPY").json()["results"]] == ["JPY"]


@pytest.mark.parametrize("currency", ["XXX", "eur", "", "%00", "EUR%00"])
def test_an_unknown_currency_is_a_400(client: APIClient, currency: str):
    assert client.get(f"/products?currency={currency}").status_code == 400


@pytest.mark.parametrize("page", ["0", "-1", "x", "999", "%00", "9" * 400, "1_0"])
def test_a_page_that_does_not_exist_is_a_400(client: APIClient, page: str):
    stocked("WIDGET", 10)
    answer = client.get(f"/products?page={page}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["parameter"] for error in answer.json()["errors"]] == ["page"]


@pytest.mark.parametrize(
    "query", ["page_size=0", "page_size=-1", "page_size=101", "page_size=abc", "curency=EUR", "cursor=x"]
)
def test_a_parameter_that_is_unknown_or_out_of_bounds_is_a_400(client: APIClient, query: str):
    answer = client.get(f"/products?{query}")
    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json()["errors"]] == [query.partition("=")[0]]


def test_pages_are_bounded_and_take_two_queries(client: APIClient):
    for number in range(120):
        stocked(f"SKU-{number:03}", 1)
    with CaptureQueriesContext(connection) as queries:
        page = client.get("/products?page_size=100").json()
    assert len(page["results"]) == 100
    assert page["count"] == 120
    assert len(queries) == 2
    assert client.get(page["next"]).json()["results"][-1]["sku"] == "SKU-119"
