"""Who sees which orders, page by page, in how many queries."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from orders import services
from orders.serializers import OrderSerializer
from tests.orders.builders import customer, place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


def listed(client: APIClient, path: str = "/orders") -> list[str]:
    return [order["id"] for order in client.get(path).json()["results"]]


def test_a_customer_sees_their_own_orders_newest_first(ann: APIClient, bob: APIClient):
    first, second = place(customer("ann")), place(customer("ann"))
    place(customer("bob"))
    assert listed(ann) == [str(second.id), str(first.id)]


def test_somebody_elses_order_is_a_404_everywhere(ann: APIClient, bob: APIClient):
    order = place(customer("ann"))
    for answer in (bob.get(f"/orders/{order.id}"), bob.post(f"/orders/{order.id}/cancel")):
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/not-found")
        assert str(customer("ann").pk) not in answer.json()["detail"]
    assert listed(bob) == []
    order.refresh_from_db()
    assert order.cancel_requested_at is None


def test_staff_see_all_orders(staff: APIClient):
    orders = [place(customer("ann")), place(customer("bob"))]
    assert listed(staff) == [str(order.id) for order in reversed(orders)]
    assert staff.get(f"/orders/{orders[0].id}").status_code == 200


def test_an_anonymous_caller_is_a_401_everywhere():
    order = place(customer("ann"))
    client = APIClient()
    answers = [
        client.get("/orders"),
        client.post("/orders", {"sku": "WIDGET", "quantity": 1}, format="json"),
        client.get(f"/orders/{order.id}"),
        client.post(f"/orders/{order.id}/cancel"),
        client.get("/products"),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5


def test_one_order_tells_everything(ann: APIClient):
    order = place(customer("ann"), ("GADGET", 1), ("WIDGET", 2))
    services.reject_orders({order.id: "payment_declined"})
    body = ann.get(f"/orders/{order.id}").json()
    assert set(body) == set(OrderSerializer().fields)
    assert (body["status"], body["reason"], body["total"]) == ("rejected", "payment_declined", "44.48")
    assert [item["sku"] for item in body["items"]] == ["GADGET", "WIDGET"]
    assert body["ended_at"].endswith("Z")


def test_pages_follow_each_other_without_gap_or_repetition(ann: APIClient):
    orders = [str(place(customer("ann")).id) for _ in range(7)]
    seen: list[str] = []
    path = "/orders?page_size=3"
    while path:
        page = ann.get(path).json()
        seen += [order["id"] for order in page["results"]]
        if len(seen) == 3:
            place(customer("ann"))  # arrives while somebody reads
        path = page["next"]
    assert seen == orders[::-1]


def test_a_page_has_at_most_a_hundred_orders(ann: APIClient):
    for _ in range(101):
        place(customer("ann"))
    assert len(listed(ann)) == 50
    assert len(listed(ann, "/orders?page_size=100")) == 100


@pytest.mark.parametrize(
    "size", ["0", "-1", "101", "1000000", "abc", "", "1_0", "1.0", "%201", "%D9%A1", "%00", "9" * 400]
)
def test_a_page_size_out_of_bounds_is_a_400(ann: APIClient, size: str):
    assert_refused(ann.get(f"/orders?page_size={size}"), "page_size")


@pytest.mark.parametrize("name", ["statu", "page", "limit", "customer", "%00"])
def test_a_parameter_that_nobody_reads_is_a_400_and_never_the_whole_list(ann: APIClient, name: str):
    place(customer("ann"))
    assert_refused(ann.get(f"/orders?{name}=pending"), unquote(name))


def assert_refused(answer: Any, parameter: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    assert [error["parameter"] for error in answer.json()["errors"]] == [quote(parameter, safe="~")]


def cursor(parts: dict[str, str]) -> str:
    return quote(b64encode(urlencode(parts).encode()).decode())


FOREIGN_CURSORS = ["x", "%ff", *map(cursor, [{"p": "garbage"}, {"p": "\x00"}, {"p": "1' OR 1=1"}, {"p": "9" * 400}])]
FOREIGN_CURSORS += ["%00", "====", *map(cursor, [{"o": "-1"}, {"o": "x"}, {"o": "9" * 400}, {"p": "9" * 32 + "\x00"}])]


@pytest.mark.parametrize("text", FOREIGN_CURSORS)
def test_a_cursor_that_we_did_not_write_is_a_400(ann: APIClient, text: str):
    place(customer("ann"))
    answer = ann.get(f"/orders?cursor={text}")
    assert_refused(answer, "cursor")
    assert answer["Content-Type"] == "application/problem+json"


def test_an_empty_cursor_is_the_first_page(ann: APIClient):
    order = place(customer("ann"))
    assert listed(ann, "/orders?cursor=") == [str(order.id)]


def test_the_way_back_from_a_page_that_has_become_empty_leads_to_orders(ann: APIClient):
    orders = [place(customer("ann")) for _ in range(3)]
    second = ann.get("/orders?status=pending&page_size=2").json()["next"]
    services.cancel_orders([orders[0].id])
    empty = ann.get(second).json()
    assert empty["results"] == []
    back = listed(ann, empty["previous"])
    assert back
    assert set(back) <= {str(orders[2].id), str(orders[1].id)}


def test_orders_are_filtered_by_status(ann: APIClient):
    pending, ended = place(customer("ann")), place(customer("ann"))
    services.cancel_orders([ended.id])
    assert listed(ann, "/orders?status=pending") == [str(pending.id)]
    assert listed(ann, "/orders?status=cancelled") == [str(ended.id)]
    assert ann.get("/orders?status=%00").status_code == 400
    assert ann.get("/orders?status=lost").status_code == 400


@pytest.mark.parametrize(
    "path", ["/orders/01a1f94a-0000-7000-8000-000000000000", "/orders/1", "/orders/%00", "/orders/x/cancel", "/orders/"]
)
def test_an_order_that_does_not_exist_is_a_404_problem(ann: APIClient, path: str):
    answer = ann.get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_a_page_takes_as_many_queries_as_one_order(ann: APIClient):
    place(customer("ann"))
    with CaptureQueriesContext(connection) as one:
        ann.get("/orders")
    for _ in range(20):
        place(customer("ann"), ("GADGET", 1), ("WIDGET", 2))
    with CaptureQueriesContext(connection) as many:
        ann.get("/orders")
    assert len(many) == len(one) <= 7


def test_an_empty_page_asks_nobody_else(ann: APIClient):
    with CaptureQueriesContext(connection) as queries:
        assert listed(ann) == []
    assert len(queries) == 1


def test_the_browsable_page_works(ann: APIClient):
    order = place(customer("ann"))
    for path in ("/orders", f"/orders/{order.id}", "/products"):
        page = ann.get(path, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert page["Content-Type"].startswith("text/html")


def test_the_schema_documents_the_key_and_the_problems(client):
    schema = client.get("/api/schema/?format=json").json()
    post = schema["paths"]["/orders"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in post["parameters"]]
    assert {"201", "400", "401", "409", "422", "429", "503"} <= set(post["responses"])
    assert "application/problem+json" in post["responses"]["409"]["content"]
    assert {"/orders/{order_id}", "/orders/{order_id}/cancel", "/products", "/idempotency-keys/{key}"} <= set(
        schema["paths"]
    )
