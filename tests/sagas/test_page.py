"""A saga's page says what is wrong, what happens next and which verb helps; its graph shows where it is."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from outbox.models import Destination, OutboxMessage
from outbox.selectors import clock
from sagas import operations, selectors
from sagas.graph import Graph, graph_of
from sagas.models import Saga
from sagas.outlook import outlook
from tests.support import staff
from tests.support.drive import deliver
from tests.support.shop import Shop, saga_of, step

pytestmark = pytest.mark.django_db
CHARGE = step("charge_payment")


@pytest.fixture
def root() -> Client:
    return staff.root()


def shown(client: Client, order: Any) -> Any:
    answer = client.get(f"/admin/sagas/saga/{saga_of(order).pk}/change/")
    assert answer.status_code == 200
    return answer


def next_of(order: Any) -> list[str]:
    return outlook(saga_of(order), now=clock())


def drawn(order: Any) -> Graph:
    saga = saga_of(order)
    return graph_of(selectors.steps_of(saga), backward=saga.goes_backward)


def tones(graph: Graph) -> dict[str, str]:
    return {node.name: node.tone for node in graph.nodes}


class TestPage:
    def test_a_stuck_saga_says_what_is_wrong_and_which_verb_helps(self, root: Client, shop: Shop):
        shop.provider.will("create", "refuse")
        shop.provider.always("refund", "refuse")
        page = shown(root, shop.driven()).content.decode()

        assert "Needs attention: compensating (shipping unavailable), at charge_payment" in page
        assert "Nothing by itself: it waits for a person" in page
        assert "retry or resolve." in page
        assert page.count('<span class="pill tone-running">helps</span>') == 2
        assert "the provider would now agree" in page

    def test_the_graph_is_drawn_on_the_page_with_the_pivot_and_where_it_is(self, root: Client, shop: Shop):
        page = shown(root, shop.up_to("create_shipment")).content.decode()
        graph = page.partition('<svg class="saga-graph"')[2].partition("</svg>")[0]
        for text in ("▶ create_shipment", "confirm_order", "pivot", "undo charge_payment", "marker-end"):
            assert text in graph
        assert graph.count('class="saga-node tone-') == 7
        assert "NaN" not in graph

    def test_what_steps_say_is_escaped(self, root: Client, shop: Shop):
        order = shop.up_to("create_shipment")
        evil = "</title></svg><script>alert(1)</script>"
        Saga.objects.get().steps.update(error=evil, output={"reference": evil})
        Saga.objects.update(last_error=evil)
        page = shown(root, order).content.decode()
        assert "<script>alert" not in page
        assert page.count("&lt;script&gt;alert(1)") >= 4

    def test_secrets_of_inputs_and_outputs_are_masked(self, root: Client, shop: Shop):
        order = shop.up_to("create_shipment")
        Saga.objects.get().steps.update(output={"card_token": "tok_very_secret"})
        page = shown(root, order).content.decode()
        assert "tok_ok" not in page
        assert "tok_very_secret" not in page
        assert "tok_…" in page

    def test_a_version_that_this_code_does_not_know_is_drawn_by_its_rows(self, root: Client, shop: Shop):
        order = shop.up_to("create_shipment")
        Saga.objects.update(version=99)
        page = shown(root, order).content.decode()
        assert "No code of this process knows" in page
        assert page.count('class="saga-node tone-') == 2

    def test_the_page_leads_to_the_orders_timeline(self, root: Client, shop: Shop):
        order = shop.started()
        assert f"/admin/orders/order/{order.pk}/timeline/" in shown(root, order).content.decode()


class TestGraph:
    def test_what_is_done_what_is_refused_and_what_never_came(self, shop: Shop):
        shop.provider.will("create", "refuse")
        assert tones(drawn(shop.driven())) == {
            "reserve_stock": "done", "charge_payment": "done", "create_shipment": "failed", "confirm_order": "none",
            "undo reserve_stock": "done", "undo charge_payment": "done", "undo create_shipment": "none",
        }  # fmt: skip

    def test_the_arrows_taken_are_the_way_it_went(self, shop: Shop):
        shop.provider.will("create", "refuse")
        graph = drawn(shop.driven())
        forward, turns, backward = graph.arrows[:3], graph.arrows[3:6], graph.arrows[6:]
        assert [arrow.is_taken for arrow in forward] == [True, True, False]
        assert [arrow.is_taken for arrow in turns] == [True, True, False]
        assert [arrow.is_taken for arrow in backward] == [True, False]
        assert all(arrow.y1 > arrow.y2 for arrow in backward)

    def test_backward_the_compensation_is_where_it_is(self, shop: Shop):
        shop.provider.will("create", "refuse")
        shop.provider.always("refund", "refuse")
        [here] = [node for node in drawn(shop.driven()).nodes if node.is_current]
        assert (here.name, here.tone) == ("undo charge_payment", "failed")

    def test_every_box_lies_inside(self, shop: Shop):
        graph = drawn(shop.started())
        assert all(0 < node.x < node.x + graph.node_width < graph.width for node in graph.nodes)
        assert all(0 < node.y < node.bottom < graph.height for node in graph.nodes)

    def test_a_step_under_way_says_how_many_attempts_it_has(self, shop: Shop):
        shop.provider.always("charge", "unavailable")
        order = shop.up_to("charge_payment")
        deliver(CHARGE)
        [charge] = [node for node in drawn(order).nodes if node.name == "charge_payment"]
        assert (charge.said, charge.tone) == ("retrying, 1 of 8 attempts", "waiting")


class TestOutlook:
    def test_due(self, shop: Shop):
        told = next_of(shop.up_to("create_shipment"))
        assert told[0] == "create_shipment is due: the next free worker takes it."
        assert "After it: confirm_order (the pivot: no way back after it)." in told
        assert told[-1].startswith("If it has not ended by ")

    def test_due_for_long_points_at_the_workers(self, shop: Shop):
        order = shop.up_to("create_shipment")
        OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() - timedelta(minutes=5))
        assert "look at the workers' heartbeats" in next_of(order)[0]

    def test_due_and_paused_says_until_when_and_why(self, shop: Shop):
        order = shop.up_to("charge_payment")
        Destination.objects.update_or_create(
            name=CHARGE,
            defaults={"paused_until": timezone.now() + timedelta(minutes=1), "pause_reason": "breaker open"},
        )
        [first, *_] = next_of(order)
        assert f"nothing of {CHARGE} is taken before" in first
        assert first.endswith(": breaker open.")

    def test_unknown_is_asked_about_first(self, shop: Shop):
        order = shop.up_to("charge_payment")
        shop.provider.will("charge", "lost")
        shop.provider.always("find_charge", "lost")
        deliver(CHARGE)
        OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + timedelta(minutes=5))
        told = next_of(order)
        assert told[0].startswith("charge_payment is tried again at ")
        assert "the provider is asked before anything else" in told[1]

    def test_under_way(self, shop: Shop):
        order = shop.up_to("charge_payment")
        OutboxMessage.objects.filter(state="open").update(
            claimed_at=timezone.now(), due_at=timezone.now() + timedelta(seconds=30)
        )
        assert "charge_payment is under way. Should its worker die, another one takes it over at" in next_of(order)[0]

    def test_a_cancel_turns_it_back_after_this_step(self, shop: Shop):
        order = shop.up_to("create_shipment")
        operations.cancel(saga_of(order).pk, who=None, reason="x")
        assert any("A cancel was asked for" in sentence for sentence in next_of(order))

    def test_backward_says_what_is_left_to_undo(self, shop: Shop):
        order = shop.up_to("create_shipment")
        shop.provider.will("create", "refuse")
        shop.provider.always("refund", "unavailable")
        deliver(step("create_shipment"))
        deliver(step("charge_payment", undo=True))
        OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + timedelta(minutes=5))
        told = next_of(order)
        assert told[0].startswith("The compensation of charge_payment is tried again at ")
        assert "1 of 8 attempts are used; after the last, it waits for a person." in told
        assert "After it, to be undone: reserve_stock." in told

    def test_an_ended_saga_does_nothing_more(self, shop: Shop):
        [only] = next_of(shop.driven())
        assert only.startswith("Nothing more: it ended completed, ")
