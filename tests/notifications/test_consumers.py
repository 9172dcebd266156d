"""Each end of an order is told once: noted before it is sent, again only when nobody knows, under one Message-ID."""

import smtplib

import pytest
from django.core import mail
from django.db import IntegrityError, transaction

from notifications.channels.email import EmailChannel
from notifications.models import Notification
from outbox import operations
from outbox.models import InboxMessage, OutboxMessage
from providers.errors import OutcomeUnknown, Refused, Unavailable
from tests.support.crash import Crash, crash_before
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import step

pytestmark = pytest.mark.django_db
CONFIRMED = "notifications.order_confirmed"


class Channel:
    """Sends to memory, and raises what it is told to, before or after the notice was accepted."""

    def __init__(self):
        self.accepted, self.before, self.after = [], [], []

    def __call__(self):
        return self

    def send(self, notice):
        if self.before:
            raise self.before.pop(0)
        self.accepted.append(notice)
        if self.after:
            raise self.after.pop(0)


_channel = Channel()


def channel_backend():
    return _channel


@pytest.fixture
def channel(settings):
    _channel.__init__()
    settings.NOTIFICATION_CHANNEL = {"BACKEND": "tests.notifications.test_consumers.channel_backend", "OPTIONS": {}}
    return _channel


def rows():
    return sorted(Notification.objects.values_list("kind", "status"))


def confirmed(shop):
    """An order whose confirmation waits to be told."""
    order = shop.up_to("confirm_order")
    deliver(step("confirm_order"))
    return order


class TestEnds:
    def test_a_confirmed_order_is_told_once(self, shop, channel):
        order = shop.driven()

        [notice] = channel.accepted
        assert (notice.address, notice.subject) == ("ann@example.org", "Your order is confirmed")
        assert str(order.pk) in notice.body
        assert "9.99 EUR" in notice.body
        assert notice.message_id == f"<{order.pk}.confirmed@localhost>"
        assert rows() == [("confirmed", "sent")]

    def test_a_rejected_and_refunded_order_is_told_both(self, shop, channel):
        shop.provider.will("create", "refuse")

        shop.driven()

        assert rows() == [("refunded", "sent"), ("rejected", "sent")]
        told = {notice.subject: notice.body for notice in channel.accepted}
        assert "it cannot be shipped" in told["We could not fulfil your order"]
        assert "9.99 EUR" in told["Your money is on its way back"]

    def test_a_cancelled_order_is_told(self, shop, channel):
        from orders.cancellation import request_cancel

        order = shop.started()
        request_cancel(order.pk)
        drive()

        assert rows() == [("cancelled", "sent")]
        assert [notice.subject for notice in channel.accepted] == ["Your order is cancelled"]


class TestOnce:
    def test_a_second_event_tells_nothing_new(self, shop, channel):
        shop.driven()
        OutboxMessage.objects.filter(destination=CONFIRMED).update(
            state="open", finished_at=None, due_at="2020-01-01T00:00:00Z"
        )
        InboxMessage.objects.all().delete()

        drive()

        assert len(channel.accepted) == 1

    def test_a_crash_between_acceptance_and_commit_sends_twice_under_one_message_id(self, shop, channel, monkeypatch):
        """Nobody knows whether it was sent: what was noted before is sent again."""
        from notifications.consumers import NoticeWork

        order = confirmed(shop)
        monkeypatch.setattr(NoticeWork, "record", crash_before(NoticeWork.record))
        with pytest.raises(Crash):
            deliver(CONFIRMED)
        assert rows() == [("confirmed", "pending")]

        time_passes()
        drive()

        assert [notice.message_id for notice in channel.accepted] == [f"<{order.pk}.confirmed@localhost>"] * 2
        assert rows() == [("confirmed", "sent")]

    def test_postgres_refuses_a_second_row_per_order_and_kind(self, shop, channel):
        """I5: the effect's own natural key, for duplicates older than the inbox."""
        order = shop.driven()

        with pytest.raises(IntegrityError, match="one_notification_per_order_and_kind"), transaction.atomic():
            Notification.objects.create(order_id=order.pk, kind="confirmed", recipient_id=1)


class TestTrouble:
    @pytest.mark.parametrize("error", [Unavailable("down"), OutcomeUnknown("cut")])
    def test_it_is_sent_again_later_never_zero_times(self, shop, channel, error):
        confirmed(shop)
        channel.before = [error]
        deliver(CONFIRMED)
        assert (channel.accepted, rows()) == ([], [("confirmed", "pending")])
        waiting = OutboxMessage.objects.get(destination=CONFIRMED)
        assert (waiting.state, waiting.last_error) == ("open", str(error))

        drive()

        assert len(channel.accepted) == 1
        assert rows() == [("confirmed", "sent")]

    def test_nobody_to_tell_is_written_down_and_not_tried_again(self, shop, channel):
        confirmed(shop)
        channel.before = [Refused("no mailbox ann@example.org")]

        drive()

        assert (channel.accepted, rows()) == ([], [("confirmed", "refused")])
        assert Notification.objects.get().error == "no mailbox ***"

    def test_a_customer_without_an_address_is_sent_nothing(self, shop, channel):
        shop.customer.email = ""
        shop.customer.save()

        shop.driven()

        assert (channel.accepted, rows()) == ([], [("confirmed", "refused")])
        assert Notification.objects.get().error == "no address"

    def test_i11_a_notice_that_never_gets_through_ends_dead_and_visible(self, shop, channel):
        """I11"""
        confirmed(shop)
        channel.before = [OutcomeUnknown("cut")] * 50

        drive()
        operations.bury_spent()

        notice = OutboxMessage.objects.get(destination=CONFIRMED)
        assert (notice.state, notice.attempts, notice.last_error) == ("dead", 10, "cut")
        assert rows() == [("confirmed", "pending")]


class TestEmail:
    def test_django_sends_it_with_its_message_id(self, shop):
        order = shop.driven()

        [sent] = mail.outbox
        assert sent.extra_headers == {"Message-ID": f"<{order.pk}.confirmed@localhost>"}
        assert sent.to == ["ann@example.org"]

    @pytest.mark.parametrize(
        ("raised", "means"),
        [
            (smtplib.SMTPRecipientsRefused({"a@b": (550, b"no")}), Refused),
            (smtplib.SMTPRecipientsRefused({"a@b": (450, b"later")}), Unavailable),
            (smtplib.SMTPConnectError(421, b"busy"), Unavailable),
            (smtplib.SMTPAuthenticationError(535, b"who"), Unavailable),
            (ConnectionRefusedError(), Unavailable),
            (smtplib.SMTPServerDisconnected("gone"), OutcomeUnknown),
            (TimeoutError(), OutcomeUnknown),
        ],
    )
    def test_every_failure_is_one_of_three(self, monkeypatch, raised, means):
        from notifications.channels.base import Notice

        def send(*args, **kwargs):
            raise raised

        monkeypatch.setattr("django.core.mail.EmailMessage.send", send)
        with pytest.raises(means):
            EmailChannel().send(Notice(address="a@b", subject="s", body="b", message_id="<x@y>"))
