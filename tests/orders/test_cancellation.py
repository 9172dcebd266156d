"""A customer's wish to cancel, before, during and after the fulfilment (F16)."""

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from rest_framework.test import APIClient

from orders import cancellation, services
from orders.models import Order
from sagas import lifecycle
from sagas.exceptions import SagaMoves
from sagas.lifecycle import CancelAnswer
from sagas.models import Saga
from tests.orders.builders import customer, place
from tests.support.threads import until_somebody_waits

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]
PATIENCE_SECONDS = 20.0


class SagaDouble:
    """Answers like the saga engine, in the order it is told, and remembers who asked."""

    def __init__(self) -> None:
        self.answers: Iterator[CancelAnswer] = iter(())
        self.has_saga = False
        self.asked: list[UUID] = []

    def request_cancel(self, name: str, subject_id: UUID) -> CancelAnswer:
        assert name == "fulfil_order"
        self.asked.append(subject_id)
        return next(self.answers)

    def progress(self, name: str, subject_ids: list[UUID]) -> dict[UUID, object]:
        return dict.fromkeys(subject_ids, object()) if self.has_saga else {}


@pytest.fixture
def sagas(monkeypatch: pytest.MonkeyPatch) -> SagaDouble:
    double = SagaDouble()
    monkeypatch.setattr("orders.cancellation.lifecycle.request_cancel", double.request_cancel)
    monkeypatch.setattr("orders.cancellation.saga_selectors.progress", double.progress)
    return double


@pytest.fixture
def order() -> Order:
    return place(customer("ann"))


def status(order: Order) -> tuple[str, bool]:
    """(status, was a cancel asked for)"""
    row = Order.objects.get(id=order.id)
    return row.status, row.cancel_requested_at is not None


def kinds(published) -> list[str]:
    return [kind for kind, _, _ in published()]


def test_an_order_whose_saga_has_not_begun_is_cancelled_on_the_spot(
    published, ann: APIClient, order: Order, sagas: SagaDouble
):
    sagas.answers = iter([CancelAnswer.NO_SAGA, CancelAnswer.NO_SAGA])
    answer = ann.post(f"/orders/{order.id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert ann.post(f"/orders/{order.id}/cancel").status_code == 200
    assert status(order) == ("cancelled", True)
    assert kinds(published) == ["order.created.v1", "order.cancelled.v1"]


def test_an_order_under_way_stays_pending_until_everything_is_undone(
    published, ann: APIClient, order: Order, sagas: SagaDouble
):
    sagas.answers = iter([CancelAnswer.REQUESTED, CancelAnswer.REQUESTED])
    first, second = (ann.post(f"/orders/{order.id}/cancel") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["status"] == "pending"
    assert first.json()["cancel_requested_at"] == second.json()["cancel_requested_at"] is not None
    assert status(order) == ("pending", True)
    assert kinds(published) == ["order.created.v1"]


@pytest.mark.parametrize("end", ["confirmed", "rejected"])
def test_a_cancel_that_comes_too_late_is_a_409(ann: APIClient, order: Order, sagas: SagaDouble, end: str):
    """The runner held the saga first: it has committed by the time that the lock is free."""
    if end == "confirmed":
        services.confirm_orders([order.id])
    else:
        services.reject_orders({order.id: "out_of_stock"})
    sagas.answers = iter([CancelAnswer.TOO_LATE])
    answer = ann.post(f"/orders/{order.id}/cancel", headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/order-already-ended")
    assert end in answer.json()["detail"]
    assert status(order) == (end, False)


def test_an_order_whose_saga_was_purged_answers_by_its_status(ann: APIClient, order: Order, sagas: SagaDouble):
    services.confirm_orders([order.id])
    sagas.answers = iter([CancelAnswer.NO_SAGA])
    assert ann.post(f"/orders/{order.id}/cancel").status_code == 409
    assert status(order) == ("confirmed", False)


def test_a_saga_that_appears_while_we_look_is_asked_again(published, order: Order, sagas: SagaDouble):
    sagas.has_saga = True
    sagas.answers = iter([CancelAnswer.NO_SAGA, CancelAnswer.REQUESTED])
    assert cancellation.request_cancel(order.id) == "pending"
    assert sagas.asked == [order.id, order.id]
    assert status(order) == ("pending", True)
    assert kinds(published) == ["order.created.v1"]


def test_a_saga_that_never_decides_is_an_error(order: Order, sagas: SagaDouble):
    sagas.has_saga = True
    sagas.answers = iter([CancelAnswer.NO_SAGA] * cancellation.LOOKS)
    with pytest.raises(cancellation.CancelUndecided), transaction.atomic():
        cancellation.request_cancel(order.id)
    assert status(order) == ("pending", False)


def test_an_order_that_moves_too_fast_is_a_503_that_says_when_to_try_again(
    ann: APIClient, order: Order, monkeypatch: pytest.MonkeyPatch
):
    def moves(name: str, subject_id: UUID) -> CancelAnswer:
        raise SagaMoves

    monkeypatch.setattr(lifecycle, "request_cancel", moves)
    response = ann.post(f"/orders/{order.id}/cancel")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json()["type"] == "/problems/service-unavailable"
    assert status(order) == ("pending", False)


def test_an_order_whose_saga_only_newer_code_knows_is_a_503_too(ann: APIClient, order: Order):
    lifecycle.start("fulfil_order", [(order.id, {})])
    Saga.objects.update(version=2)
    response = ann.post(f"/orders/{order.id}/cancel")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert (status(order), Saga.objects.get().cancel_requested_at) == (("pending", False), None)


@pytest.mark.django_db(transaction=True)
def test_a_cancel_waits_for_the_consumer_that_starts_the_saga_and_then_sees_it(
    published, order: Order, sagas: SagaDouble
):
    """The consumer holds the order's lock when the cancel finds no saga: one of the two sees the other."""
    sagas.answers = iter([CancelAnswer.NO_SAGA, CancelAnswer.REQUESTED])
    outcome: list[str] = []

    def cancel() -> None:
        try:
            outcome.append(cancellation.request_cancel(order.id))
        finally:
            connection.close()

    thread = threading.Thread(target=cancel)
    with transaction.atomic():
        Order.objects.select_for_update().get(id=order.id)
        thread.start()
        until_somebody_waits()
        sagas.has_saga = True
    thread.join(PATIENCE_SECONDS)

    assert outcome == ["pending"]
    assert status(order) == ("pending", True)
    assert kinds(published) == ["order.created.v1"]


def test_a_repeated_cancel_with_a_key_is_replayed(ann: APIClient, order: Order, sagas: SagaDouble):
    sagas.answers = iter([CancelAnswer.REQUESTED])
    headers = {"Idempotency-Key": "k1"}
    first, second = (ann.post(f"/orders/{order.id}/cancel", headers=headers) for _ in range(2))
    assert first.content == second.content
    assert second["Idempotent-Replay"] == "true"
    assert len(sagas.asked) == 1


@pytest.mark.django_db(transaction=True)
def test_with_the_real_engine_a_cancel_after_the_start_is_an_intent_and_one_before_it_ends_the_order(
    published, ann: APIClient
):
    started, fresh = place(customer("ann")), place(customer("ann"))
    with transaction.atomic():
        lifecycle.start("fulfil_order", [(started.id, {})])

    assert ann.post(f"/orders/{started.id}/cancel").status_code == 202
    assert ann.post(f"/orders/{fresh.id}/cancel").status_code == 200

    assert status(started) == ("pending", True)
    assert status(fresh) == ("cancelled", True)
    body = ann.get(f"/orders/{started.id}").json()
    assert body["fulfilment"]["step"] == "reserve_stock"


def test_whoever_only_sees_an_order_may_not_cancel_it(order, staff, bob):
    """A group that views everything changes nothing: it takes the permission that the verb takes."""
    address = f"/orders/{order.id}/cancel"

    assert (staff.post(address).status_code, bob.post(address).status_code) == (403, 404)
    assert status(order) == ("pending", False)

    operator = User.objects.get(username="staff")
    operator.user_permissions.add(Permission.objects.get(codename="operate_saga"))
    staff.force_authenticate(User.objects.get(pk=operator.pk))
    assert staff.post(address).status_code == 200  # nothing had begun
    assert status(order) == ("cancelled", True)
