"""The order's saga from end to end: what happens at the providers, in stock and to the order, for each ending."""

import pytest
from django.core import mail

from outbox.models import InboxMessage, OutboxMessage
from payments.models import Payment
from sagas.models import Saga
from shipping.models import Shipment
from tests.support.drive import deliver_due, drive, time_passes
from tests.support.shop import attempts, money, open_messages, outcome, parcel, saga_of, steps, stock

pytestmark = pytest.mark.django_db
DONE = ("done", "")
UNDONE = ("done", "done")


class TestForward:
    def test_an_order_is_reserved_charged_shipped_and_confirmed(self, shop):
        order = shop.driven(quantity=2)

        assert outcome(order) == ("confirmed", "", "completed")
        assert steps(order) == dict.fromkeys(
            ["reserve_stock", "charge_payment", "create_shipment", "confirm_order"], DONE
        )
        assert set(attempts(order).values()) == {1}
        assert shop.provider.order == ["charge", "create"]
        assert [operation for operation, _ in shop.provider.calls] == ["charge", "create"]
        assert (money(order), parcel(order), stock()) == (("captured", 1998), "created", (8, 0))
        assert open_messages() == []
        assert [message.subject for message in mail.outbox] == ["Your order is confirmed"]

    def test_many_orders_share_their_batches(self, shop):
        orders = [shop.order() for _ in range(5)]

        turns = drive()

        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}
        assert turns == 6
        assert stock() == (5, 0)

    def test_each_step_ran_through_a_message_of_its_own_with_an_inbox_row(self, shop):
        order = shop.driven()

        ran = OutboxMessage.objects.filter(type="saga.step_due.v1").order_by("id")
        assert [message.destination for message in ran] == [
            "fulfil_order.reserve_stock",
            "fulfil_order.charge_payment",
            "fulfil_order.create_shipment",
            "fulfil_order.confirm_order",
        ]
        assert {message.aggregate_id for message in ran} == {saga_of(order).pk}
        assert {message.state for message in ran} == {"done"}
        handled = InboxMessage.objects.filter(consumer__startswith="fulfil_order.")
        assert {row.message_id for row in handled} == {message.message_id for message in ran}
        # Each but the first names the one before as its cause.
        causes = [message.headers.get("causationId") for message in ran]
        assert causes[1:] == [str(message.message_id) for message in list(ran)[:-1]]

    def test_i3_the_providers_key_is_saga_and_step(self, shop):
        """I3: deterministic, so that every attempt asks for the same thing."""
        order = shop.driven()

        saga_id = saga_of(order).pk
        assert shop.provider.happened("charge") == [f"{saga_id}:charge_payment"]
        assert shop.provider.happened("create") == [f"{saga_id}:create_shipment"]

    def test_an_order_starts_one_saga_however_often_its_event_comes(self, shop):
        order = shop.started()
        OutboxMessage.objects.filter(destination="orders.start_fulfilment").update(
            state="open", finished_at=None, due_at="2020-01-01T00:00:00Z"
        )
        InboxMessage.objects.all().delete()

        drive()

        assert Saga.objects.count() == 1
        assert outcome(order) == ("confirmed", "", "completed")


class TestBackward:
    def test_out_of_stock_ends_the_order_before_anything_was_asked_for(self, shop):
        order = shop.driven(quantity=11)

        assert outcome(order) == ("rejected", "out_of_stock", "compensated")
        assert steps(order) == {"reserve_stock": ("refused", "")}
        assert (shop.provider.calls, stock()) == ([], (10, 0))
        assert (Payment.objects.count(), Shipment.objects.count()) == (0, 0)
        assert len(mail.outbox) == 1

    def test_a_declined_card_releases_the_stock(self, shop):
        shop.provider.will("charge", "refuse")

        order = shop.driven()

        assert outcome(order) == ("rejected", "payment_declined", "compensated")
        assert steps(order) == {"reserve_stock": UNDONE, "charge_payment": ("refused", "")}
        assert shop.provider.asked("charge") == 1
        assert (shop.provider.order, money(order), stock()) == ([], ("declined", 0), (10, 0))

    def test_i8_a_refused_parcel_is_undone_in_reverse_order(self, shop):
        """I8: compensations run in reverse; the order is rejected only when all is undone."""
        shop.provider.will("create", "refuse")
        order = shop.order()
        seen = []
        while deliver_due() or time_passes():
            order.refresh_from_db()
            seen.append((order.status, saga_of(order).current_step))

        assert outcome(order) == ("rejected", "shipping_unavailable", "compensated")
        assert steps(order) == {
            "reserve_stock": UNDONE,
            "charge_payment": UNDONE,
            "create_shipment": ("refused", ""),
        }
        assert shop.provider.order == ["charge", "refund"]
        assert (money(order), parcel(order), stock()) == (("refunded", 0), "refused", (10, 0))
        # Pending until the last compensation.
        assert [status for status, at in seen if at in {"charge_payment", "create_shipment"}] == ["pending"] * 3
        ran = OutboxMessage.objects.filter(destination__endswith=".undo").order_by("id")
        assert [message.destination for message in ran] == [
            "fulfil_order.charge_payment.undo",
            "fulfil_order.reserve_stock.undo",
        ]
        refunded = Payment.objects.get()
        ended = saga_of(order)
        assert ended.ended_at is not None
        assert order.ended_at >= refunded.updated_at
        assert sorted(message.subject for message in mail.outbox) == [
            "We could not fulfil your order",
            "Your money is on its way back",
        ]

    def test_a_refund_goes_out_under_a_key_of_its_own(self, shop):
        shop.provider.will("create", "refuse")
        order = shop.driven()

        assert shop.provider.happened("refund") == [f"{saga_of(order).pk}:charge_payment.undo"]

    def test_the_whole_way_there_and_back(self, shop):
        """Cancelled before the pivot: parcel, money and stock go back, last one first."""
        from orders.cancellation import request_cancel

        order = shop.up_to("confirm_order")
        assert shop.provider.order == ["charge", "create"]

        request_cancel(order.pk)
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert shop.provider.order == ["charge", "create", "cancel", "refund"]
        assert (money(order), parcel(order), stock()) == (("refunded", 0), "cancelled", (10, 0))
        assert steps(order) == {
            "reserve_stock": UNDONE,
            "charge_payment": UNDONE,
            "create_shipment": UNDONE,
        }
