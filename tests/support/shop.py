"""Orders on their way through fulfilment: placed through the service, driven by the test, read from every book."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User

from inventory.models import StockItem
from orders.models import Order
from outbox.models import OutboxMessage
from payments.models import Payment
from sagas.models import Saga, SagaStep
from shipping.models import Shipment
from tests.inventory.builders import stocked
from tests.orders.builders import place
from tests.support.drive import deliver, drive
from tests.support.provider import Provider

STEPS = ("reserve_stock", "charge_payment", "create_shipment", "confirm_order")
START = "orders.start_fulfilment"


def step(name: str, *, undo: bool = False) -> str:
    """The destination of a step of the order's saga."""
    return f"fulfil_order.{name}{'.undo' if undo else ''}"


@dataclass
class Shop:
    """One product, one customer, and a provider with a ledger."""

    customer: User
    provider: Provider

    def order(self, quantity: int = 1) -> Order:
        return place(self.customer, ("WIDGET", quantity))

    def started(self, quantity: int = 1) -> Order:
        """An order whose saga waits for its first step."""
        order = self.order(quantity)
        deliver(START)
        return order

    def up_to(self, name: str, quantity: int = 1) -> Order:
        """An order that has done every step before this one."""
        order = self.started(quantity)
        deliver(*[step(done) for done in STEPS[: STEPS.index(name)]])
        assert saga_of(order).current_step == name
        return order

    def driven(self, quantity: int = 1) -> Order:
        order = self.order(quantity)
        drive()
        return order


@pytest.fixture
def shop(provider: Provider, monkeypatch: Any) -> Shop:
    monkeypatch.setattr("outbox.bell._send", lambda destination: True)
    stocked("WIDGET", 10)
    return Shop(customer=User.objects.create(username="ann", email="ann@example.org"), provider=provider)


def saga_of(order: Order) -> Saga:
    return Saga.objects.get(subject_id=order.pk)


def step_of(order: Order, name: str) -> SagaStep:
    return SagaStep.objects.get(saga__subject_id=order.pk, name=name)


def message_of(order: Order) -> OutboxMessage:
    """The message that the order's saga waits for."""
    waiting_for = saga_of(order).waiting_for
    assert waiting_for is not None
    return OutboxMessage.objects.get(message_id=waiting_for)


def outcome(order: Order) -> tuple[str, str, str]:
    """(order's status, its reason, the saga's status)"""
    order.refresh_from_db()
    return order.status, order.reason, saga_of(order).status


def steps(order: Order) -> dict[str, tuple[str, str]]:
    """{step: (status, status of its compensation)}"""
    rows = SagaStep.objects.filter(saga__subject_id=order.pk)
    return {row.name: (row.status, row.undo_status) for row in rows}


def attempts(order: Order) -> dict[str, int]:
    rows = SagaStep.objects.filter(saga__subject_id=order.pk)
    return {row.name: row.attempts for row in rows}


def stock() -> tuple[int, int]:
    """(on hand, reserved)"""
    return StockItem.objects.values_list("on_hand", "reserved").get(sku="WIDGET")


def money(order: Order) -> tuple[str, int]:
    """(payment's status, captured minus refunded)"""
    payment = Payment.objects.get(order_id=order.pk)
    return payment.status, payment.captured_minor - payment.refunded_minor


def parcel(order: Order) -> str:
    return Shipment.objects.values_list("status", flat=True).get(order_id=order.pk)


def open_messages() -> list[str]:
    return sorted(OutboxMessage.objects.filter(state="open").values_list("destination", flat=True))
