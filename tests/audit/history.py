"""Real orders that ended in every way there is, and one that is under way: placed over HTTP, driven by the test."""

from collections.abc import Mapping
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from orders.cancellation import request_cancel
from orders.models import Order
from payments import services as payments
from payments.models import Payment
from tests.inventory.builders import stocked
from tests.support.drive import deliver, drive
from tests.support.shop import START, STEPS, Shop, step

History = Mapping[str, UUID]


@pytest.fixture
def history(shop: Shop) -> History:
    """Order ids by what became of them."""
    stocked("SCARCE", 1)
    shop.http = APIClient()
    shop.http.force_authenticate(shop.customer)
    made = {
        "confirmed": _confirmed(shop),
        "sold_out": _placed(shop, sku="SCARCE", quantity=2),
        "declined": _refused(shop, "charge"),
        "unshippable": _refused(shop, "create"),
        "cancelled": _cancelled(shop, before="create_shipment"),
        "cancelled_late": _cancelled(shop, before="confirm_order"),
        "never_begun": _never_begun(shop),
        "found_late": _found_late(shop),
    }
    drive()
    return {**made, "under_way": _up_to(shop, "create_shipment")}


def _placed(shop: Shop, *, sku: str = "WIDGET", quantity: int = 1) -> UUID:
    key = f'"key-{Order.objects.count()}"'
    answer = shop.http.post(
        "/orders", {"sku": sku, "quantity": quantity}, format="json", headers={"Idempotency-Key": key}
    )
    assert answer.status_code == 201, answer.content
    return UUID(answer.json()["id"])


def _confirmed(shop: Shop) -> UUID:
    order_id = _placed(shop)
    drive()
    return order_id


def _refused(shop: Shop, operation: str) -> UUID:
    order_id = _placed(shop)
    shop.provider.will(operation, "refuse")
    drive()
    return order_id


def _up_to(shop: Shop, name: str) -> UUID:
    order_id = _placed(shop)
    deliver(START, *[step(done) for done in STEPS[: STEPS.index(name)]])
    return order_id


def _cancelled(shop: Shop, *, before: str) -> UUID:
    order_id = _up_to(shop, before)
    request_cancel(order_id)
    drive()
    return order_id


def _never_begun(shop: Shop) -> UUID:
    order_id = _placed(shop)
    request_cancel(order_id)
    drive()
    return order_id


def _found_late(shop: Shop) -> UUID:
    """F13: the charge was settled as absent, the order cancelled; then it turned up, and was refunded."""
    order_id = _up_to(shop, "charge_payment")
    shop.provider.will("charge", "lost")
    deliver(step("charge_payment"))
    request_cancel(order_id)
    drive()
    shop.provider.happens_late("charge")
    payment = Payment.objects.get(order_id=order_id)
    intent = payments.intents_of([payment.pk])[payment.pk]
    payments.record_charges([(intent, payments.find_charge(intent))])
    drive()
    return order_id
