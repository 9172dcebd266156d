"""GET /orders/{id}/timeline: the whole story for staff, the owner's part for its owner, nothing for anybody else."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from audit.models import Difference
from orders.models import Order
from orders.timeline_serializers import EntrySerializer, StaffTimelineSerializer, TimelineSerializer
from outbox.models import OutboxMessage
from sagas import lifecycle, operations
from sagas.models import SagaStep
from tests.support.drive import deliver, drive
from tests.support.shop import Shop, outcome, saga_of, step

pytestmark = pytest.mark.django_db
QUERIES_MAX = 20
SECRETS = ("saga.", "fulfil_order", "notifications.", "attempts", "error", "provider", "reference", "root", "row")


@pytest.fixture
def owner(shop: Shop) -> APIClient:
    client = APIClient()
    client.force_authenticate(shop.customer)
    return client


def told(client: APIClient, order: Order) -> Any:
    answer = client.get(f"/orders/{order.pk}/timeline")
    assert answer.status_code == 200
    return answer.json()


def entries(body: Any, *kinds: str) -> list[Any]:
    return [entry for entry in body["entries"] if entry["kind"] in kinds]


def statuses(body: Any, kind: str) -> dict[str, str]:
    return {entry["name"]: entry["status"] for entry in entries(body, kind)}


def compensated(shop: Shop) -> Order:
    """Charged after two tries, then refused by the carrier, and undone."""
    shop.provider.will("charge", "unavailable", "unavailable")
    shop.provider.will("create", "refuse")
    order = shop.driven()
    assert outcome(order)[2] == "compensated"
    return order


class TestStaff:
    def test_a_compensated_order_is_told_from_its_placing_to_the_last_mail(self, staff: APIClient, shop: Shop):
        body = told(staff, order := compensated(shop))

        assert set(body) == set(StaffTimelineSerializer().fields)
        assert (body["order"], body["status"], body["reason"]) == (str(order.pk), "rejected", "shipping_unavailable")
        assert statuses(body, "step") == {
            "reserve_stock": "done", "charge_payment": "done", "create_shipment": "refused",
        }  # fmt: skip
        assert statuses(body, "compensation") == {"charge_payment": "done", "reserve_stock": "done"}
        assert statuses(body, "payment") == {"charge": "refunded"}
        assert statuses(body, "refund") == {"refund": "refunded"}
        assert statuses(body, "shipment") == {"parcel": "refused"}
        assert statuses(body, "reservation") == {"1 × WIDGET": "released"}
        assert statuses(body, "notification") == {"rejected": "sent", "refunded": "sent"}
        assert [entry["name"] for entry in entries(body, "order")] == ["placed", "rejected"]
        began = [entry["began_at"] for entry in body["entries"]]
        assert began == sorted(began)

    def test_a_retried_step_tells_its_attempts_and_so_does_its_message(self, staff: APIClient, shop: Shop):
        body = told(staff, compensated(shop))

        [charge] = [entry for entry in entries(body, "step") if entry["name"] == "charge_payment"]
        assert charge["attempts"] == 3
        assert charge["began_at"] < charge["facts"]["last_call_at"] <= charge["ended_at"]
        assert charge["facts"]["provider"] == "payments"
        delivered = {entry["facts"]["destination"]: entry for entry in entries(body, "message")}
        assert delivered[step("charge_payment")]["facts"]["claims"] == 3
        assert delivered[step("reserve_stock")]["facts"]["claims"] == 1

    def test_every_message_of_the_order_is_there_and_none_of_another(self, staff: APIClient, shop: Shop):
        shop.driven()
        order = compensated(shop)
        body = told(staff, order)

        mine = OutboxMessage.objects.filter(correlation_id=order.pk)
        assert {entry["row"]["id"] for entry in entries(body, "message")} == {str(row.key) for row in mine}
        assert {entry["status"] for entry in entries(body, "message")} == {"done"}
        assert body["is_cut"] is False

    def test_an_order_under_way_says_what_happens_next_and_where_it_waited(self, staff: APIClient, shop: Shop):
        shop.provider.always("charge", "unavailable")
        order = shop.up_to("charge_payment")
        deliver(step("charge_payment"))
        past = timedelta(minutes=5)
        Order.objects.update(placed_at=order.placed_at - past)
        OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + past)
        body = told(staff, order)

        [charge] = [entry for entry in entries(body, "step") if entry["name"] == "charge_payment"]
        assert (charge["status"], charge["ended_at"]) == ("retrying", None)
        assert charge["error"] == "503"
        assert body["next"][0].startswith("charge_payment is tried again at ")
        assert "1 of 8 attempts are used; after the last, the saga turns back." in body["next"]
        assert body["gaps"][0]["before"] == "reserve_stock"
        assert body["gaps"][0]["seconds"] >= past.total_seconds()

    def test_an_order_that_waits_between_two_steps_has_a_gap_until_now(self, staff: APIClient, shop: Shop):
        order = shop.up_to("create_shipment")
        past = timedelta(minutes=5)
        Order.objects.update(placed_at=order.placed_at - past)
        SagaStep.objects.update(started_at=F("started_at") - past, finished_at=F("finished_at") - past, called_at=None)
        body = told(staff, order)

        assert (body["gaps"][-1]["before"], body["gaps"][-1]["until"]) == ("", body["read_at"])
        assert body["gaps"][-1]["seconds"] >= past.total_seconds()

    def test_an_order_whose_saga_is_purged_keeps_one_line_of_it(self, staff: APIClient, shop: Shop):
        order = compensated(shop)
        assert lifecycle.purge(older_than=timedelta(seconds=-60)) == 1
        body = told(staff, order)

        assert entries(body, "step", "compensation") == []
        assert body["summary"].startswith("compensated in ")
        for text in (
            ", shipping_unavailable: reserve_stock done and undone", "charge_payment done (3 attempts) and undone",
            "create_shipment refused",
        ):  # fmt: skip
            assert text in body["summary"]
        assert body["gaps"] == []
        assert body["next"] == ["Nothing more: it ended rejected."]
        assert statuses(body, "payment") == {"charge": "refunded"}

    def test_an_order_whose_saga_has_not_begun_says_what_begins_it(self, staff: APIClient, shop: Shop):
        body = told(staff, shop.order())
        assert "orders.start_fulfilment" in body["next"][0]
        assert {entry["kind"] for entry in body["entries"]} == {"order", "message"}

    def test_what_operators_did_and_why_is_told_with_who(self, staff: APIClient, shop: Shop):
        order = shop.up_to("create_shipment")
        root = User.objects.create(username="root")
        operations.compensate(saga_of(order).pk, who=root, reason="fraud")
        drive()
        [act] = entries(told(staff, order), "operator_act")
        assert (act["name"], act["facts"]) == (
            "compensate",
            {"who": "root", "reason": "fraud", "target": "saga", "step": "create_shipment"},
        )

    def test_a_difference_with_the_providers_books_is_told_with_its_repair(self, staff: APIClient, shop: Shop):
        order = shop.driven()
        _differ(order)
        [found] = entries(told(staff, order), "difference")
        assert (found["name"], found["status"], found["facts"]["theirs"]) == ("charge late_capture", "open", "captured")

    @pytest.mark.parametrize(("first", "last"), [(2, 3), (2, 1), (3, 1)])
    def test_a_story_that_is_too_long_tells_how_it_began_and_how_it_stands(
        self, staff: APIClient, shop: Shop, monkeypatch, first: int, last: int
    ):
        order = shop.driven()
        mine = OutboxMessage.objects.filter(correlation_id=order.pk).order_by("id")
        keys = [str(key) for key in mine.values_list("key", flat=True)]
        assert len(keys) > first + last
        monkeypatch.setattr("orders.timeline.FIRST_MESSAGES", first)
        monkeypatch.setattr("orders.timeline.LAST_MESSAGES", last)

        body = told(staff, order)

        assert {entry["row"]["id"] for entry in entries(body, "message")} == {*keys[:first], *keys[-last:]}
        assert (body["is_cut"], body["left_out"]) == (True, len(keys) - first - last)

    def test_a_story_that_just_fits_is_whole(self, staff: APIClient, shop: Shop, monkeypatch):
        order = shop.driven()
        count = OutboxMessage.objects.filter(correlation_id=order.pk).count()
        monkeypatch.setattr("orders.timeline.FIRST_MESSAGES", 2)
        for last in (count - 2, count):
            monkeypatch.setattr("orders.timeline.LAST_MESSAGES", last)
            body = told(staff, order)
            assert (len(entries(body, "message")), body["is_cut"], body["left_out"]) == (count, False, 0)

    def test_as_many_queries_for_a_long_story_as_for_a_short_one(self, staff: APIClient, shop: Shop):
        order = compensated(shop)
        _differ(order)
        long = _queries(staff, order)
        short = _queries(staff, shop.driven())

        assert len(told(staff, order)["entries"]) > 20
        assert short == long <= QUERIES_MAX


class TestOwner:
    def test_the_owner_sees_what_was_done_and_nothing_of_how(self, owner: APIClient, shop: Shop):
        order = compensated(shop)
        _differ(order)
        body = told(owner, order)

        assert set(body) == set(TimelineSerializer().fields)
        assert {tuple(entry) for entry in body["entries"]} == {tuple(EntrySerializer().fields)}
        assert statuses(body, "step") == {
            "reserve_stock": "done", "charge_payment": "done", "create_shipment": "not_done",
        }  # fmt: skip
        assert {entry["kind"] for entry in body["entries"]} == {
            "order", "step", "compensation", "payment", "refund", "shipment", "notification",
        }  # fmt: skip
        assert [secret for secret in SECRETS if secret in str(body)] == []

    def test_a_step_in_trouble_is_under_way_to_its_owner(self, owner: APIClient, shop: Shop):
        shop.provider.always("charge", "lost")
        order = shop.up_to("charge_payment")
        deliver(step("charge_payment"))
        body = told(owner, order)
        [charge] = [entry for entry in entries(body, "step") if entry["name"] == "charge_payment"]
        assert (charge["status"], charge["ended_at"], charge["facts"]) == ("under_way", None, {})

    def test_a_compensation_that_failed_is_under_way_to_its_owner(self, owner: APIClient, shop: Shop):
        shop.provider.will("create", "refuse")
        shop.provider.always("refund", "refuse")
        order = shop.driven()
        assert outcome(order)[2] == "needs_attention"
        body = told(owner, order)
        [refund] = [entry for entry in entries(body, "compensation") if entry["name"] == "charge_payment"]
        assert (refund["status"], refund["ended_at"]) == ("under_way", None)

    def test_the_owner_gets_the_amounts_and_the_tracking_number(self, owner: APIClient, shop: Shop):
        body = told(owner, shop.driven())
        [paid], [parcel] = entries(body, "payment"), entries(body, "shipment")
        assert set(paid["facts"]) == {"amount", "currency"}
        assert set(parcel["facts"]) == {"tracking_number"}

    def test_the_key_that_placed_it_is_shown_shortened_with_its_expiry(self, owner: APIClient, shop: Shop):
        placed = owner.post(
            "/orders",
            {"sku": "WIDGET", "quantity": 1},
            format="json",
            headers={"Idempotency-Key": "cart-4711-of-ann"},
        )
        owner.post(
            "/orders", {"sku": "WIDGET", "quantity": 1}, format="json", headers={"Idempotency-Key": "another-cart"}
        )
        body = told(owner, Order.objects.get(pk=placed.json()["id"]))
        [key] = entries(body, "idempotency_key")
        assert (key["name"], key["status"], set(key["facts"])) == ("cart-471…", "kept", {"expires_at"})


class TestStrangers:
    def test_somebody_elses_order_and_one_that_is_not_there_are_the_same_404(self, bob: APIClient, shop: Shop):
        answers = [
            bob.get(f"/orders/{identity}/timeline")
            for identity in (shop.driven().pk, "01a1f94a-0000-7000-8000-000000000000")
        ]
        for answer in answers:
            assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
            assert answer.json()["type"].endswith("/not-found")
        assert answers[0].json()["detail"] == answers[1].json()["detail"]

    def test_an_anonymous_caller_is_a_401(self, shop: Shop):
        assert APIClient().get(f"/orders/{shop.order().pk}/timeline").status_code == 401


def test_the_schema_documents_both_bodies(client):
    schema = client.get("/api/schema/?format=json").json()
    answer = schema["paths"]["/orders/{order_id}/timeline"]["get"]["responses"]
    assert {"200", "401", "404"} <= set(answer)
    assert {"Timeline", "StaffTimeline"} <= set(schema["components"]["schemas"])


def _differ(order: Order) -> Difference:
    return Difference.objects.create(
        provider="payments",
        object="charge",
        kind="late_capture",
        provider_key=f"{saga_of(order).pk}:charge_payment",
        order_id=order.pk,
        theirs={"status": "captured", "amount_minor": 999, "undone_minor": 0, "currency": "EUR"},
    )


def _queries(client: APIClient, order: Order) -> int:
    with CaptureQueriesContext(connection) as queries:
        told(client, order)
    return len(queries)
