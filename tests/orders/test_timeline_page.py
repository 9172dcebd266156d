"""The timeline's page: drawn, linked and escaped; for whoever may look, and no more of it than they may."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import Difference
from orders.models import Order
from orders.time_axis import BUSY_WIDTH, IDLE_WIDTH, Axis
from outbox.models import OutboxMessage
from payments.models import Payment, Refund
from sagas import lifecycle, recovery
from sagas.models import Saga
from tests.support import staff
from tests.support.drive import deliver
from tests.support.shop import Shop, saga_of, step

pytestmark = pytest.mark.django_db
BEGAN = datetime(2026, 11, 20, 14, 9, 25, tzinfo=UTC)
PER_CENT = re.compile(r'(?:x|width)="(-?[0-9.]+)%"')
QUERIES_MAX = 24


@pytest.fixture
def root() -> Client:
    return staff.root()


def shown(client: Client, order: Order) -> str:
    answer = client.get(f"/admin/orders/order/{order.pk}/timeline/")
    assert answer.status_code == 200
    return answer.content.decode()


def compensated(shop: Shop) -> Order:
    shop.provider.will("charge", "unavailable", "unavailable")
    shop.provider.will("create", "refuse")
    return shop.driven()


def test_a_compensated_order_is_drawn_with_a_link_to_every_row(root: Client, shop: Shop):
    order = compensated(shop)
    page = shown(root, order)

    rows = [saga_of(order), Payment.objects.get(), Refund.objects.get(), *OutboxMessage.objects.all()]
    for row in rows:
        assert reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk]) in page
    for lane in ("Steps", "At the providers", "Stock", "E-mails", "Messages"):
        assert f">{lane}</th>" in page
    assert "Rejected (shipping unavailable) after " in page
    assert "1 step retried, 2 compensations" in page
    assert '<span class="pill tone-waiting" title="Tried so many times">3×</span>' in page
    assert page.count('class="bar tone-undone') >= 2


def test_every_bar_lies_on_the_axis_and_nothing_comes_from_outside_or_runs(root: Client, shop: Shop):
    page = shown(root, compensated(shop))
    places = [float(place) for place in PER_CENT.findall(page)]
    assert len(places) > 50
    assert 0 <= min(places) <= max(places) <= 100
    own = page[page.index('<div class="timeline">') :]
    assert re.findall(r'(?:src|href)="(?!/admin/)[^"]*"', own[: own.index("</table>")]) == []
    assert re.findall(r"\son[a-z]+=|\sstyle=|<script", own) == []


def test_what_rows_say_is_escaped(root: Client, shop: Shop):
    shop.provider.always("charge", "unavailable")
    order = shop.up_to("charge_payment")
    deliver(step("charge_payment"))
    evil = "</title></svg><script>alert(1)</script>"
    Saga.objects.get().steps.filter(name="charge_payment").update(error=evil)
    OutboxMessage.objects.filter(state="open").update(last_error=evil, type=evil)
    Payment.objects.update(reason=evil, provider_reference=evil)
    page = shown(root, order)
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 4


def test_an_order_under_way_says_what_comes_next_and_draws_what_goes_on(root: Client, shop: Shop):
    shop.provider.always("charge", "unavailable")
    order = shop.up_to("charge_payment")
    deliver(step("charge_payment"))
    OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + timedelta(minutes=5))
    page = shown(root, order)
    assert "charge_payment is tried again at " in page
    assert "tone-waiting goes-on" in page


def test_a_wait_is_a_gap_on_every_line(root: Client, shop: Shop):
    order = shop.driven()
    Order.objects.update(placed_at=order.placed_at - timedelta(minutes=5))
    page = shown(root, order)
    assert page.count("Nothing was under way for 5 min") == page.count('<td class="waterfall-bar">')
    assert "waited 5 min" in page


def test_an_order_whose_saga_is_purged_shows_the_line_that_is_left(root: Client, shop: Shop):
    order = compensated(shop)
    lifecycle.purge(older_than=timedelta(seconds=-60))
    page = shown(root, order)
    assert "Its saga, purged" in page
    assert "charge_payment done (3 attempts) and undone" in page


def test_an_order_a_moment_old_is_drawn_too(root: Client, shop: Shop):
    assert "orders.start_fulfilment" in shown(root, shop.order())


def test_the_orders_page_leads_to_its_timeline(root: Client, shop: Shop):
    order = shop.order()
    page = root.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert f'href="/admin/orders/order/{order.pk}/timeline/"' in page


def test_an_order_that_waits_for_a_person_says_so_and_leads_to_what_can_be_done(root: Client, shop: Shop):
    order = shop.up_to("create_shipment")
    assert 'class="timeline-headline tone-running"' in shown(root, order)
    Saga.objects.update(deadline_at=timezone.now())
    assert recovery.attend_overdue() == 1

    page = shown(root, order)

    assert 'class="timeline-headline tone-failed"' in page
    assert re.search(r">Pending for [^<]+, waits for a person\b", page)
    link = f'What can be done stands on <a href="/admin/sagas/saga/{saga_of(order).pk}/change/">'
    assert link in page
    assert "What can be done" not in shown(staff.signed_in(staff.operator("orders.view_order")), order)


def test_whoever_may_look_at_orders_only_sees_the_order_and_how_much_is_left_out(shop: Shop):
    order = shop.driven()
    page = shown(staff.signed_in(staff.operator("orders.view_order")), order)
    assert "rows are not shown: you may not look at their tables" in page
    for hidden in ("payments/payment", "outbox/outboxmessage", "sagas/saga", "provider reference"):
        assert hidden not in page
    assert f"/admin/orders/order/{order.pk}/change/" in page


def test_nobody_without_the_permission_sees_it(shop: Shop):
    address = f"/admin/orders/order/{shop.order().pk}/timeline/"
    assert staff.signed_in(staff.operator("sagas.view_saga")).get(address).status_code == 403
    assert Client().get(address).status_code == 302


@pytest.mark.parametrize("identity", ["01a1f94a-0000-7000-8000-000000000000", "x"])
def test_an_order_that_is_not_there_is_not_found(root: Client, identity: str):
    assert root.get(f"/admin/orders/order/{identity}/timeline/").status_code == 404


def test_the_page_reads_as_much_for_a_long_story_as_for_a_short_one(root: Client, shop: Shop):
    long, short = compensated(shop), shop.driven()
    Difference.objects.create(
        provider="payments", object="charge", kind="ours_only", provider_key="key", order_id=long.pk
    )
    assert _queries(root, long) == _queries(root, short) <= QUERIES_MAX


class TestAxis:
    def test_time_is_to_scale(self):
        axis = Axis([BEGAN, _after(5), _after(6), _after(10)], [(BEGAN, _after(10))])
        assert [axis.place(_after(seconds)) for seconds in (0, 5, 6, 10)] == [0, 50, 60, 100]
        assert axis.breaks == []

    def test_a_long_wait_is_drawn_short_and_says_how_long_it_was(self):
        axis = Axis([BEGAN, _after(3), _after(86_403), _after(86_406)], [(BEGAN, _after(3))])
        [wait] = axis.breaks
        assert (wait.width, wait.told) == (IDLE_WIDTH, "1 d")
        assert axis.place(_after(3)) == pytest.approx((100 - IDLE_WIDTH) / 2)
        assert axis.place(_after(86_406)) == pytest.approx(100)

    def test_work_that_takes_nearly_all_the_time_leaves_room_for_the_rest(self):
        axis = Axis([BEGAN, _after(1), _after(1_000)], [(BEGAN, _after(1_000))])
        assert [stretch.width for stretch in axis.breaks] == [BUSY_WIDTH]
        assert axis.place(_after(1)) == pytest.approx(100 - BUSY_WIDTH)

    def test_a_single_moment_is_an_axis_too(self):
        assert Axis([BEGAN], []).place(BEGAN) == 0

    def test_what_is_outside_stands_at_the_edge(self):
        axis = Axis([BEGAN, _after(1)], [])
        assert (axis.place(_after(-5)), axis.place(_after(5))) == (0, 100)

    def test_ticks_are_round_and_apart(self):
        ticks = Axis([BEGAN, _after(3.4)], []).ticks
        assert [tick.label for tick in ticks] == ["0", "+500 ms", "+1 s", "+1.5 s", "+2 s", "+2.5 s", "+3 s"]


def _after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def _queries(client: Client, order: Order) -> int:
    with CaptureQueriesContext(connection) as queries:
        shown(client, order)
    return len(queries)
