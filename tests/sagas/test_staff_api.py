"""The staff's read API of sagas: steps, clock and data of one, filters of many."""

import pytest
from rest_framework.test import APIClient

from sagas.models import Saga
from tests.support import staff
from tests.support.shop import Shop, message_of, saga_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(db: None) -> APIClient:
    return staff.api(is_staff=True)


def test_one_saga_shows_its_steps_its_clock_and_masked_data(api, shop: Shop):
    order = shop.up_to("create_shipment")
    saga = saga_of(order)

    body = api.get(f"/sagas/{saga.pk}").json()

    assert [(step["name"], step["action"]["status"]) for step in body["steps"]] == [
        ("reserve_stock", "done"), ("charge_payment", "done"), ("create_shipment", "not yet"),
        ("confirm_order", "not yet"),
    ]  # fmt: skip
    assert [step["name"] for step in body["steps"] if step["is_current"]] == ["create_shipment"]
    assert body["waits_for"]["key"] == str(message_of(order).key)
    assert body["waits_for"]["reading"] == "due"
    assert "tok_ok" not in str(body["data"])


def test_sagas_are_filtered_by_status_name_subject_and_stuck(api, shop: Shop):
    ended, moving, troubled = shop.driven(), shop.started(), shop.started()
    Saga.objects.filter(subject_id=troubled.pk).update(last_error="charge_payment: 503")

    def subjects(query: str) -> list[str]:
        return [saga["subject_id"] for saga in api.get(f"/sagas{query}").json()["results"]]

    ids = [str(order.pk) for order in (moving, ended, troubled)]
    assert sorted(subjects("")) == sorted(ids)
    assert subjects("?status=completed") == [ids[1]]
    assert subjects("?stuck=true") == [ids[2]]
    assert subjects(f"?subject_id={ids[0]}&name=fulfil_order") == [ids[0]]
    assert subjects("?direction=backward") == []
