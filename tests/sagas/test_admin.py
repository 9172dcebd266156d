"""The admin draws every saga's steps; its verbs are done once, with a reason, by whoever may operate sagas."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from outbox.models import OperatorAct, OutboxMessage
from sagas.models import Saga
from tests.support import staff
from tests.support.drive import deliver, drive
from tests.support.shop import Shop, message_of, outcome, saga_of, step, step_of

pytestmark = pytest.mark.django_db(transaction=True)

SAGAS = "sagas/saga"
EVERY_PAGE = (
    "orders/order", "sagas/saga", "outbox/outboxmessage", "outbox/inboxentry", "payments/payment", "payments/refund",
    "shipping/shipment", "shipping/cancellation", "inventory/product", "inventory/stockitem", "inventory/reservation",
    "notifications/notification", "outbox/destination",
)  # fmt: skip


@pytest.fixture
def root() -> Client:
    return staff.root()


def acts() -> list[tuple[str, str]]:
    return list(OperatorAct.objects.order_by("id").values_list("verb", "reason"))


def needing_attention(shop: Shop) -> Any:
    """An order whose stock is reserved and whose charge died: its saga waits for a person."""
    order = shop.up_to("charge_payment")
    saga = saga_of(order)
    OutboxMessage.objects.filter(message_id=str(saga.waiting_for)).update(state="dead")
    Saga.objects.filter(pk=saga.pk).update(status="needs_attention", waiting_for=None, last_error="charge_payment: 503")
    return order


class TestPages:
    def test_every_list_and_every_row_of_a_fulfilled_and_a_cancelled_order_is_shown(self, root, shop: Shop):
        shop.driven()
        order = shop.up_to("confirm_order")
        staff.click(root, SAGAS, "cancel", saga_of(order).pk, reason="the customer called")
        drive()

        for page in EVERY_PAGE:
            rows = root.get(f"/admin/{page}/").context["cl"].result_list
            assert len(rows) >= 1, page
            for row in rows if page != "outbox/inboxentry" else []:
                answer = root.get(f"/admin/{page}/{row.pk}/change/")
                assert answer.status_code == 200, (page, row.pk)
                assert "tok_ok" not in answer.content.decode(), page

    def test_the_list_shows_those_at_one_step(self, root, shop: Shop):
        ended, moving = shop.driven(), shop.up_to("create_shipment")

        def listed(query: str) -> set[Any]:
            return {row.subject_id for row in root.get(f"/admin/{SAGAS}/?{query}").context["cl"].result_list}

        assert listed("step=create_shipment") == {moving.pk}
        assert listed("step=create_shipment&status__exact=running") == {moving.pk}
        assert listed("step=create_shipment&status__exact=needs_attention") == set()
        assert listed("") == {ended.pk, moving.pk}

    def test_no_list_reads_more_for_more_rows(self, root, shop: Shop):
        shop.provider.will("create", "refuse")
        shop.driven()
        before = {page: _queries(root, page) for page in EVERY_PAGE}
        shop.provider.will("create", "refuse", "ok", "refuse")
        for _ in range(4):
            shop.driven()
        after = {page: _queries(root, page) for page in EVERY_PAGE}

        assert after == before
        assert max(after.values()) <= 10

    def test_an_orders_rows_are_linked_both_ways(self, root, shop: Shop):
        order = shop.driven()
        saga = saga_of(order)

        saga_page = root.get(f"/admin/{SAGAS}/{saga.pk}/change/").content.decode()
        for target in ("payments/payment", "shipping/shipment", "inventory/reservation", "notifications/notification"):
            assert f"/admin/{target}/?q={order.pk}" in saga_page
        assert f"/admin/outbox/outboxmessage/?q={saga.pk}+{order.pk}" in saga_page
        assert f"/admin/orders/order/{order.pk}/change/" in saga_page
        assert _found(root, SAGAS, f"?q={order.pk}") == _found(root, SAGAS, f"?q={saga.pk}") == [saga.pk]
        messages = _found(root, "outbox/outboxmessage", f"?q={saga.pk}+{order.pk}")
        assert len(messages) >= len(saga.steps.all())
        page = root.get(f"/admin/outbox/outboxmessage/{messages[0]}/change/").content.decode()
        assert f"/admin/orders/order/{order.pk}/change/" in page

    def test_steps_are_drawn_with_those_to_come_and_what_the_saga_waits_for(self, root, shop: Shop):
        order = shop.up_to("create_shipment")
        page = root.get(f"/admin/{SAGAS}/{saga_of(order).pk}/change/").content.decode()
        for text in ("reserve_stock", "confirm_order", "not yet", "pivot", f"{step('create_shipment')} · due"):
            assert text in page
        assert f"/admin/outbox/outboxmessage/{message_of(order).key}/change/" in page

    def test_the_page_of_a_saga_that_has_ended_offers_no_verb(self, root, shop: Shop):
        ended = saga_of(shop.driven())
        live = saga_of(shop.started())
        offered = [root.get(f"/admin/{SAGAS}/{saga.pk}/change/").content.decode() for saga in (ended, live)]
        assert [page.count('name="from_page"') for page in offered] == [0, 3]

    def test_a_page_offers_only_what_can_be_done_and_says_what_helps(self, root, shop: Shop):
        unknown = saga_of(_unknown_charge(shop))
        assert _offered(root, unknown.pk) == ["retry", "compensate", "cancel", "resolve"]
        moving = saga_of(shop.up_to("create_shipment"))
        assert _offered(root, moving.pk) == ["skip", "compensate", "cancel"]
        stuck = saga_of(needing_attention(shop))
        assert _offered(root, stuck.pk) == ["retry", "resume", "skip", "compensate", "cancel"]
        page = root.get(f"/admin/{SAGAS}/{stuck.pk}/change/").content.decode()
        assert "Needs attention because of charge_payment: 503. What helps: resume." in page
        assert page.count('class="button default"') == 1

    def test_a_verb_on_a_saga_that_has_ended_is_an_error_and_leaves_no_act(self, root, shop: Shop):
        order = shop.driven()
        answer = staff.click(root, SAGAS, "compensate", saga_of(order).pk, reason="x")
        [message] = answer.context["messages"]
        assert message.level_tag == "error"
        assert str(message).endswith("not applicable: the saga is completed.")
        assert outcome(order)[0] == "confirmed"
        assert acts() == []

    def test_stuck_shows_those_that_need_a_look(self, root, shop: Shop):
        shop.driven()
        troubled = needing_attention(shop)
        assert _found(root, SAGAS, "?stuck=true") == [saga_of(troubled).pk]

    def test_a_saga_of_an_unknown_version_is_still_shown(self, root, shop: Shop):
        order = shop.up_to("charge_payment")
        Saga.objects.update(version=99)
        page = root.get(f"/admin/{SAGAS}/{saga_of(order).pk}/change/")
        assert "reserve_stock" in page.content.decode()


class TestVerbs:
    def test_compensate_asks_why_then_undoes_everything_once(self, root, shop: Shop):
        order = shop.up_to("create_shipment")
        saga = saga_of(order)

        assert "There is no way forward after" in staff.click(root, SAGAS, "compensate", saga.pk).content.decode()
        assert acts() == []
        staff.click(root, SAGAS, "compensate", saga.pk, reason="fraud")
        drive()

        assert outcome(order) == ("rejected", "operator", "compensated")
        assert shop.provider.order == ["charge", "refund"]
        assert acts() == [("compensate", "fraud")]
        again = staff.click(root, SAGAS, "compensate", saga.pk, reason="fraud")
        assert staff.said(again)[0].startswith("Compensate: already done")
        assert acts() == [("compensate", "fraud")]

    @pytest.mark.parametrize("verb", ["retry", "resume"])
    def test_a_saga_that_needs_attention_goes_on_and_ends_confirmed(self, root, shop: Shop, verb):
        order = needing_attention(shop)
        for _ in range(2):
            staff.click(root, SAGAS, verb, saga_of(order).pk, reason="provider is back")
        drive()

        assert outcome(order) == ("confirmed", "", "completed")
        assert shop.provider.asked("charge") == 1
        assert acts() == [(verb, "provider is back")]

    def test_cancel_turns_the_saga_back(self, root, shop: Shop):
        order = shop.up_to("create_shipment")
        staff.click(root, SAGAS, "cancel", saga_of(order).pk, reason="the customer called")
        drive()
        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert acts() == [("cancel", "the customer called")]

    def test_a_refused_verb_shows_its_sentence_and_leaves_no_act(self, root, shop: Shop):
        order = shop.up_to("confirm_order")
        answer = staff.click(root, SAGAS, "skip", saga_of(order).pk, reason="hurry", step="confirm_order")
        assert "confirm_order is the pivot" in staff.said(answer)[0]
        assert acts() == []
        drive()
        assert outcome(order)[0] == "confirmed"

    def test_skip_goes_on_without_the_step(self, root, shop: Shop):
        order = shop.up_to("create_shipment")
        question = staff.click(root, SAGAS, "skip", saga_of(order).pk)
        assert question.context["form"].initial == {"step": "create_shipment"}
        staff.click(root, SAGAS, "skip", saga_of(order).pk, reason="picked up in the shop", step="create_shipment")
        drive()
        assert outcome(order)[0] == "confirmed"
        assert step_of(order, "create_shipment").status == "skipped"
        assert shop.provider.asked("create") == 0

    def test_f14_a_second_click_on_skip_does_not_skip_the_next_step(self, root, shop: Shop):
        order = shop.up_to("charge_payment")
        clicks = [
            staff.click(root, SAGAS, "skip", saga_of(order).pk, reason="paid in cash", step="charge_payment")
            for _ in range(2)
        ]
        assert "already done" in staff.said(clicks[1])[0]
        drive()
        assert (step_of(order, "charge_payment").status, step_of(order, "create_shipment").status) == (
            "skipped",
            "done",
        )
        assert acts() == [("skip", "paid in cash")]

    def test_resolve_with_a_reference_goes_on_with_what_happened(self, root, shop: Shop):
        order = _unknown_charge(shop)
        staff.click(root, SAGAS, "resolve", saga_of(order).pk, reason="seen", became="happened", reference="ch_1")
        drive()
        assert outcome(order)[0] == "confirmed"
        assert shop.provider.asked("charge") == 1
        assert acts() == [("resolve", "seen")]

    def test_resolve_that_nothing_happened_turns_the_saga_back_without_a_refund(self, root, shop: Shop):
        order = _unknown_charge(shop)
        staff.click(root, SAGAS, "resolve", saga_of(order).pk, reason="not in their books", became="nothing")
        drive()
        assert outcome(order)[0] == "rejected"
        assert shop.provider.asked("refund") == 0
        assert acts() == [("resolve", "not in their books")]

    @pytest.mark.parametrize(
        ("answers", "objection"),
        [
            ({"became": "happened"}, "What happened has a reference"),
            ({"became": "nothing", "reference": "ch_1"}, "What did not happen has no reference"),
            ({}, "This field is required"),
        ],
    )
    def test_resolve_wants_a_whole_answer(self, root, shop: Shop, answers, objection):
        order = _unknown_charge(shop)
        page = staff.click(root, SAGAS, "resolve", saga_of(order).pk, reason="seen", **answers)
        assert objection in page.content.decode()
        assert acts() == []

    def test_resolve_takes_one_saga_at_a_time(self, root, shop: Shop):
        sagas = [saga_of(shop.started()).pk, saga_of(shop.started()).pk]
        answer = staff.click(root, SAGAS, "resolve", *sagas, reason="x", became="nothing")
        assert staff.said(answer) == ["Resolve: one at a time."]

    def test_several_sagas_are_done_each_by_itself(self, root, shop: Shop):
        bad, good = shop.driven(), shop.up_to("create_shipment")
        answer = staff.click(root, SAGAS, "cancel", saga_of(good).pk, saga_of(bad).pk, reason="x")
        told = staff.said(answer)
        assert len(told) == 2
        assert OperatorAct.objects.count() == 1

    def test_looking_is_not_operating(self, shop: Shop):
        saga = saga_of(shop.up_to("create_shipment"))
        client = staff.signed_in(staff.operator("sagas.view_saga"))
        for verb in ("retry", "resume", "skip", "compensate", "cancel", "resolve"):
            staff.click(client, SAGAS, verb, saga.pk, reason="x", became="nothing", step="create_shipment")
        saga.refresh_from_db()
        assert (saga.cancel_requested_at, saga.current_step, acts()) == (None, "create_shipment", [])
        assert "from_page" not in client.get(f"/admin/{SAGAS}/{saga.pk}/change/").content.decode()


def _offered(client: Client, saga_id: Any) -> list[str]:
    page = client.get(f"/admin/{SAGAS}/{saga_id}/change/")
    return [verb.name for verb in page.context["verbs"]]


def _unknown_charge(shop: Shop) -> Any:
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    shop.provider.always("find_charge", "lost")
    deliver(step("charge_payment"))
    assert step_of(order, "charge_payment").status == "unknown"
    return order


def _found(client: Client, page: str, query: str) -> list[Any]:
    return [row.pk for row in client.get(f"/admin/{page}/{query}").context["cl"].result_list]


def _queries(client: Client, page: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"/admin/{page}/").status_code == 200
    return len(queries)
