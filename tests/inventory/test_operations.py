"""Restock leaves its reason; seeding adds what is missing and nothing else."""

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from uuid_utils.compat import uuid7

from inventory import selectors, services
from inventory.models import Product, ProductPrice, StockItem
from inventory.operations import DEMO_CATALOGUE, RestockRefused, restock, seed_catalogue
from outbox.models import OperatorAct
from outbox.money import EXPONENTS
from tests.inventory.builders import stock, stocked

pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper() -> User:
    return User.objects.create(username="keeper", is_staff=True)


def test_restocking_adds_and_leaves_who_and_why(keeper: User):
    stocked("WIDGET", 5)
    assert restock("WIDGET", 7, who=keeper, reason="delivery 4711") == 12
    assert stock("WIDGET") == (12, 0)
    act = OperatorAct.objects.get()
    assert (act.who, act.verb, act.target_type, act.target_id, act.reason) == (
        keeper, "restock", "stockitem", "WIDGET", "delivery 4711",
    )  # fmt: skip
    assert act.detail == {"quantity": 7, "on_hand": 12}


def test_a_negative_quantity_takes_off_what_nobody_has_reserved(keeper: User):
    stocked("WIDGET", 5)
    services.reserve({uuid7(): [("WIDGET", 2)]})
    assert restock("WIDGET", -3, who=keeper, reason="broken") == 2
    with pytest.raises(RestockRefused), transaction.atomic():
        restock("WIDGET", -1, who=keeper, reason="stolen")
    assert stock("WIDGET") == (2, 2)
    assert OperatorAct.objects.count() == 1


def test_a_product_that_never_had_stock_gets_its_first(keeper: User):
    Product.objects.create(sku="NEW", name="New")
    assert restock("NEW", 3, who=keeper, reason="first delivery") == 3
    with pytest.raises(RestockRefused):
        restock("UNKNOWN", 3, who=keeper, reason="first delivery")
    assert StockItem.objects.count() == 1


@pytest.mark.parametrize("quantity", [0, 10**13, -(10**13)])
def test_a_quantity_without_sense_is_refused(keeper: User, quantity: int):
    stocked("WIDGET", 5)
    with pytest.raises(RestockRefused):
        restock("WIDGET", quantity, who=keeper, reason="typo")
    assert stock("WIDGET") == (5, 0)


def test_without_a_reason_nothing_changes(keeper: User):
    stocked("WIDGET", 5)
    with pytest.raises(ValueError, match="reason"):
        restock("WIDGET", 1, who=keeper, reason=" ")
    assert stock("WIDGET") == (5, 0)


def test_seeding_twice_changes_nothing_that_is_there():
    assert seed_catalogue() == len(DEMO_CATALOGUE)
    StockItem.objects.filter(sku="WIDGET").update(on_hand=3)
    ProductPrice.objects.filter(product__sku="WIDGET", currency="EUR").update(unit_price_minor=1)
    seed_catalogue()
    assert stock("WIDGET") == (3, 0)
    assert selectors.prices(["WIDGET"], "EUR")["WIDGET"].unit_price_minor == 1
    assert Product.objects.count() == len(DEMO_CATALOGUE)


def test_the_demo_catalogue_sells_in_currencies_we_know_and_has_what_the_sandbox_reacts_to():
    assert {currency for entry in DEMO_CATALOGUE for currency in entry.prices_minor} <= set(EXPONENTS)
    assert {"WIDGET", "GADGET", "UNSHIPPABLE", "SOLD-OUT", "LAST-ONE"} <= {entry.sku for entry in DEMO_CATALOGUE}
