"""The admin shows and never edits; it links what carries the order's id."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from idempotency.models import IdempotencyKey
from inventory import services as inventory
from inventory.models import Product
from orders.models import Order
from sagas.models import Saga
from tests.orders.builders import customer, place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


PAGES = [
    "orders/order",
    "inventory/product",
    "inventory/stockitem",
    "inventory/reservation",
    "idempotency/idempotencykey",
]


@pytest.mark.parametrize("page", PAGES)
def test_a_list_is_shown_and_searched_and_cannot_be_added_to(admin: Client, page: str):
    inventory.reserve({place(customer()).id: [("WIDGET", 1)]})
    assert admin.get(f"/admin/{page}/").status_code == 200
    assert admin.get(f"/admin/{page}/?q=WIDGET").status_code == 200
    assert admin.get(f"/admin/{page}/add/").status_code == 403


def test_an_order_is_read_only_and_links_what_belongs_to_it(admin: Client):
    order = place(customer(), ("WIDGET", 2))
    page = admin.get(f"/admin/orders/order/{order.id}/change/").content.decode()
    assert "19.98 EUR" in page
    for target in ("inventory/reservation", "payments/payment"):
        assert f"/admin/{target}/?q={order.id}" in page
    assert admin.post(f"/admin/orders/order/{order.id}/change/", {"status": "confirmed"}).status_code == 403
    assert admin.post(f"/admin/orders/order/{order.id}/delete/", {"post": "yes"}).status_code == 403
    assert Order.objects.get().status == "pending"


def test_an_order_whose_saga_needs_a_person_says_so(admin: Client):
    order = place(customer())
    address = f"/admin/orders/order/{order.id}/change/"
    Saga.objects.create(
        name="fulfil_order", subject_id=order.id, current_step="charge_payment", status="needs_attention",
        deadline_at=order.placed_at,
    )  # fmt: skip
    page = admin.get(address).content.decode()
    assert "needs attention, forward, at charge_payment" in page
    assert "historylink" not in page


def test_money_is_shown_as_an_amount(admin: Client):
    page = admin.get(f"/admin/inventory/product/{Product.objects.get(sku='WIDGET').pk}/change/").content.decode()
    assert "9.99 EUR" in page


def test_no_page_shows_an_api_token(admin: Client):
    token = Token.objects.create(user=customer())
    assert admin.get("/admin/authtoken/tokenproxy/").status_code == 404
    assert "authtoken" not in admin.get("/admin/").content.decode()
    assert token.key not in admin.get(f"/admin/auth/user/{token.user_id}/change/").content.decode()


def test_a_link_leads_to_a_list_that_finds_the_order(admin: Client):
    order = place(customer())
    inventory.reserve({order.id: [("WIDGET", 1)]})
    assert str(order.id) in admin.get(f"/admin/inventory/reservation/?q={order.id}").content.decode()


@pytest.mark.parametrize("choice", ["none", "some"])
def test_stock_is_filtered_by_what_is_free(admin: Client, choice: str):
    inventory.reserve({place(customer()).id: [("GADGET", 50)]})
    page = admin.get(f"/admin/inventory/stockitem/?available={choice}&q=GADGET").content.decode()
    assert ("/admin/inventory/stockitem/GADGET/change/" in page) is (choice == "none")


def test_a_key_is_masked_and_its_answer_is_never_shown(admin: Client, ann: APIClient):
    key = "0123456789-secret-rest"
    ann.post("/orders", {"sku": "WIDGET", "quantity": 1}, format="json", headers={"Idempotency-Key": key})
    use = IdempotencyKey.objects.get()
    for path in ("", f"{use.id}/change/"):
        page = admin.get(f"/admin/idempotency/idempotencykey/{path}").content.decode()
        assert "01234567…" in page
        assert "secret-rest" not in page
        assert "placed_at" not in page


def test_a_key_is_found_with_its_caller_or_by_what_it_made(admin: Client, ann: APIClient):
    order = ann.post("/orders", {"sku": "WIDGET", "quantity": 1}, format="json", headers={"Idempotency-Key": "k-1"})
    use = IdempotencyKey.objects.get()

    def found(query: str) -> list[object]:
        return [row.pk for row in admin.get(f"/admin/idempotency/idempotencykey/?q={query}").context["cl"].result_list]

    for query in (f"{use.caller}+k-1", str(use.pk), order.json()["id"]):
        assert found(query) == [use.pk]
    for query in (f"{use.caller}+k-2", "nobody+k-1", str(use.pk)[::-1], "k-1"):
        assert found(query) == []
    said = admin.get("/admin/idempotency/idempotencykey/?q=k-1").content.decode()
    assert "A key is found with its caller only" in said


def test_accounts_are_found_by_their_names_and_groups(admin: Client):
    one, _ = customer(), customer("anna")
    group = Group.objects.create(name="operator")
    one.groups.add(group)

    def found(query: str) -> list[str]:
        return [row.username for row in admin.get(f"/admin/auth/user/?{query}").context["cl"].result_list]

    assert found(f"q={one.username}") == found(f"group={group.pk}") == [one.username]
    assert found("q=an") == []
    assert found("") == found("group=x") == ["ann", "anna", "root"]


def test_a_product_shows_its_prices(admin: Client):
    product = Product.objects.get(sku="WIDGET")
    page = admin.get(f"/admin/inventory/product/{product.pk}/change/").content.decode()
    assert "999" in page
    assert "KWD" in page
