"""Every bad input is a 4xx problem that points at its cause, and writes nothing."""

from typing import Any

import pytest
from drf_spectacular.utils import OpenApiExample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from idempotency.models import IdempotencyKey
from orders.models import Order
from orders.openapi import ONE_ITEM_FORM, ORDER_FORM

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


def one(**changes: Any) -> dict[str, Any]:
    return {"items": [{"sku": "WIDGET", "quantity": 1, **changes}]}


BAD_QUANTITIES: list[Any] = [
    0,
    -1,
    10_001,
    2**31,
    2**63,
    10**30,
    1.0,
    1.5,
    "1",
    "1_0",
    "١",
    "",
    None,
    True,
    False,
    [1],
    {},

]  # fmt: skip
BAD_AMOUNTS: list[Any] = [
    9.99,
    9,
    None,
    "",
    "9.999",
    "-9.99",
    "+9.99",
    "1e3",
    "9,99",
    "1_0.00",
    "٩.٩٩",
    "NaN",
    "inf",
    True,
    ["9.99"],

]  # fmt: skip
BAD_TOKENS: list[Any] = ["", " ", "tok ok", "tök", "t" * 101, None, 1, True, {}]
BAD: list[tuple[Any, str]] = [
    # body as a whole
    ([], "#"),
    ("text", "#"),
    (1, "#"),
    ({}, "#/items"),
    ({"items": []}, "#/items"),
    ({"items": None}, "#/items"),
    ({"items": {}}, "#/items"),
    ({"items": "WIDGET"}, "#/items"),
    ({"items": ["WIDGET"]}, "#/items/0"),
    ({"items": [None]}, "#/items/0"),
    ({"items": [{"sku": f"SKU-{n}", "quantity": 1} for n in range(101)]}, "#/items"),
    # unknown fields
    ({**one(), "curency": "EUR"}, "#/curency"),
    ({**one(), "status": "confirmed"}, "#/status"),
    ({**one(), "a/b~c": 1}, "#/a~1b~0c"),
    (one(qty=1), "#/items/0/qty"),
    (one(price="9.99"), "#/items/0/price"),
    # both forms, half a form
    ({**one(), "sku": "WIDGET"}, "#/sku"),
    ({"sku": "WIDGET"}, "#/quantity"),
    ({"quantity": 1}, "#/sku"),
    ({"sku": "WIDGET", "quantity": "1"}, "#/quantity"),
    ({"sku": "NOTHING", "quantity": 1}, "#/sku"),
    ({"sku": "WIDGET", "quantity": 1, "unit_price": 9.99}, "#/unit_price"),
    # sku
    (one(sku=None), "#/items/0/sku"),
    (one(sku=""), "#/items/0/sku"),
    (one(sku=" "), "#/items/0/sku"),
    (one(sku=1), "#/items/0/sku"),
    (one(sku=True), "#/items/0/sku"),
    (one(sku=["WIDGET"]), "#/items/0/sku"),
    (one(sku="NOTHING"), "#/items/0/sku"),
    (one(sku="widget"), "#/items/0/sku"),
    (one(sku="WIDGET "), "#/items/0/sku"),
    (one(sku="ＷＩＤＧＥＴ"), "#/items/0/sku"),
    (one(sku="W" * 51), "#/items/0/sku"),
    (one(sku="'; DROP TABLE orders_order; --"), "#/items/0/sku"),
    ({"items": [{"sku": "GADGET", "quantity": 1}, {"sku": "WIDGET", "quantity": 1}, {"sku": "GADGET", "quantity": 2}]},
     "#/items/2/sku"),
    ({"items": [{"quantity": 1}]}, "#/items/0/sku"),
    # quantity
    *((one(quantity=bad), "#/items/0/quantity") for bad in BAD_QUANTITIES),
    ({"items": [{"sku": "WIDGET"}]}, "#/items/0/quantity"),
    # money
    *((one(unit_price=bad), "#/items/0/unit_price") for bad in BAD_AMOUNTS),
    # currency, payment method
    *(({**one(), "currency": bad}, "#/currency") for bad in ("XXX", "eur", "", None, 1, True, ["EUR"], "EURO")),
    *(({**one(), "payment_method": bad}, "#/payment_method") for bad in BAD_TOKENS),
    # in a currency that the product has no price in
    ({"currency": "JPY", "items": [{"sku": "GADGET", "quantity": 1}]}, "#/items/0/sku"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointer"), BAD)
def test_a_bad_body_is_a_400_that_points_at_its_cause(ann: APIClient, published, body: Any, pointer: str):
    answer = ann.post("/orders", body, format="json", headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/invalid-request")
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert_nothing_was_written(published)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"items": [{"sku": "WIDGET", "quantity": NaN}]}',
        b'{"items": [{"sku": "WIDGET", "quantity": 1, "quantity": 2}]}',
        b'{"items": [{"sku": "WID\\u0000GET", "quantity": 1}]}',
        b'{"items": [{"sku": "WID\\u001fGET", "quantity": 1}]}',
        b'{"items": [{"sku": "\\ud800", "quantity": 1}]}',
        b'{"\\u0000": 1}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"items": ' + b"9" * 5_000 + b"}",
        b'{"payment_method": "' + b"a" * 70_000 + b'"}',
    ],
)
def test_what_is_no_strict_json_is_a_4xx(ann: APIClient, published, body: bytes):
    answer = ann.post("/orders", body, content_type="application/json", headers={"Idempotency-Key": "k1"})
    assert 400 <= answer.status_code < 500
    assert answer["Content-Type"] == "application/problem+json"
    assert_nothing_was_written(published)


def test_an_unknown_field_names_the_nearest_known_one(ann: APIClient):
    answer = ann.post("/orders", {**one(), "payment_methd": "tok_ok"}, format="json")
    assert "'payment_method'" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("status", "Set by the server: leave it out."),
        ("total", "Set by the server: leave it out."),
        ("zzz", "Unknown field. There are currency, payment_method, items, sku, quantity, unit_price."),
        ("", "Unknown field. There are currency, payment_method, items, sku, quantity, unit_price."),
        ("quantty", "Unknown field. Did you mean 'quantity'?"),
    ],
)
def test_an_unknown_field_is_explained_and_never_guessed_at(ann: APIClient, name: str, told: str):
    answer = ann.post("/orders", {**one(), name: 1}, format="json")
    assert [error["detail"] for error in answer.json()["errors"]] == [told]


def test_all_that_is_wrong_with_a_body_is_told_at_once(ann: APIClient, published):
    items = [{"sku": "WIDGET", "quantity": 1}, {"sku": "GADGET", "quantity": 0, "price": "1"}, {"quantity": "2"}, "x"]
    answer = ann.post(
        "/orders", {"items": items, "curency": "EUR", "status": "confirmed", "currency": "XXX"}, format="json"
    )
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    inside = {"#/items/1/quantity", "#/items/1/price", "#/items/2/quantity", "#/items/2/sku", "#/items/3"}
    assert pointers == inside | {"#/curency", "#/status", "#/currency"}
    assert_nothing_was_written(published)


def test_all_doubles_and_unreadable_prices_are_told_at_once(ann: APIClient):
    items = [{"sku": "WIDGET", "quantity": 1, "unit_price": price} for price in ("9.99", "9.999", "x")]
    answer = ann.post("/orders", {"items": items}, format="json")
    pointers = sorted(error["pointer"] for error in answer.json()["errors"])
    assert pointers == ["#/items/1/sku", "#/items/1/unit_price", "#/items/2/sku", "#/items/2/unit_price"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], "The body is a JSON object."),
        ({"items": ["WIDGET"]}, "An item is a JSON object."),
        ({"items": {}}, "Not a JSON array of items."),
        ({"items": []}, "An order has at least one item."),
        ({}, "Send items; or sku and quantity, for one product."),
        (one(quantity="1"), "Not a JSON integer."),
        (one(sku=1), "Not a JSON string."),
    ],
)
def test_a_refusal_speaks_of_json_and_not_of_our_language(ann: APIClient, body: Any, told: str):
    assert [error["detail"] for error in ann.post("/orders", body, format="json").json()["errors"]] == [told]


def test_a_currency_that_we_do_not_know_is_answered_with_those_we_do(ann: APIClient):
    [error] = ann.post("/orders", {**one(), "currency": "XXX"}, format="json").json()["errors"]
    assert "EUR" in error["detail"]
    assert "XXX" not in error["detail"]


@pytest.mark.parametrize("example", [ORDER_FORM, ONE_ITEM_FORM], ids=lambda example: example.name)
def test_the_documented_examples_are_orders_that_the_server_takes(ann: APIClient, example: OpenApiExample):
    assert ann.post("/orders", example.value, format="json").status_code == 201


def test_the_browsable_form_begins_with_a_body_that_the_server_takes(ann: APIClient):
    page = ann.get("/orders", headers={"Accept": "text/html"}).content.decode()
    assert "&quot;sku&quot;: &quot;WIDGET&quot;" in page


def test_another_price_than_expected_is_a_409_that_says_so(ann: APIClient, published):
    answer = ann.post("/orders", one(unit_price="9.98"), format="json", headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/price-changed")
    assert answer.json()["errors"] == [{"detail": "It costs 9.99 EUR, not 9.98.", "pointer": "#/items/0/unit_price"}]
    assert_nothing_was_written(published)


def test_another_price_in_the_one_item_form_points_at_the_top(ann: APIClient):
    answer = ann.post("/orders", {"sku": "WIDGET", "quantity": 1, "unit_price": "1"}, format="json")
    assert answer.json()["errors"][0]["pointer"] == "#/unit_price"


def test_every_unknown_product_is_pointed_at(ann: APIClient):
    items = [{"sku": sku, "quantity": 1} for sku in ("NO-1", "WIDGET", "NO-2")]
    answer = ann.post("/orders", {"items": items}, format="json")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/items/0/sku", "#/items/2/sku"]


def test_a_corrected_body_may_use_the_same_key(ann: APIClient):
    """Validation errors are not stored."""
    headers = {"Idempotency-Key": "k1"}
    assert ann.post("/orders", one(quantity=0), format="json", headers=headers).status_code == 400
    assert ann.post("/orders", one(), format="json", headers=headers).status_code == 201


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["items", "sku", "quantity", "unit_price", "currency", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON)
def test_no_body_is_ever_a_5xx(ann: APIClient, body: Any):
    answer = ann.post("/orders", body, format="json", headers={"Idempotency-Key": "k1"})
    assert answer.status_code in (201, 400, 409, 422)


def assert_nothing_was_written(published: Any) -> None:
    assert not Order.objects.exists()
    assert not IdempotencyKey.objects.exists()
    assert published() == []
