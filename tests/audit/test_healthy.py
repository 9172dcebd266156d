"""A service that kept its promises has no violation, whatever way its orders ended (I1–I14)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from audit.report import audit_now
from notifications.models import Notification
from orders.models import Order
from outbox import operations as outbox
from outbox.models import OperatorAct, OutboxMessage
from sagas import operations
from sagas.models import Saga
from tests.support.drive import drive

pytestmark = pytest.mark.django_db


def found(*, at_rest=True, since=None):
    report = audit_now(at_rest=at_rest, with_ledgers=False, since=since)
    return [(violation.promise, violation.check, violation.rows) for violation in report.violations]


def test_no_order_is_no_violation():
    assert found() == []


def test_the_history_holds_every_end_that_an_order_may_come_to(history):
    ends = {name: Order.objects.values_list("status", "reason").get(pk=history[name]) for name in history}

    assert ends == {
        "confirmed": ("confirmed", ""),
        "sold_out": ("rejected", "out_of_stock"),
        "declined": ("rejected", "payment_declined"),
        "unshippable": ("rejected", "shipping_unavailable"),
        "cancelled": ("cancelled", "customer"),
        "cancelled_late": ("cancelled", "customer"),
        "never_begun": ("cancelled", "customer"),
        "found_late": ("cancelled", "customer"),
        "under_way": ("pending", ""),
    }


def test_whatever_way_orders_end_is_no_violation(history):
    drive()

    assert found() == []
    assert found(at_rest=False) == []
    assert found(since=datetime.now(UTC) - timedelta(hours=1)) == []


def test_what_is_under_way_is_a_violation_only_at_rest(history):
    assert found(at_rest=False) == []
    assert {name for _, name, _ in found()} == {"every_order_has_ended", "every_saga_has_ended", "no_message_is_open"}


def test_a_saga_that_waits_for_a_person_is_a_violation_only_at_rest(shop):
    shop.provider.always("create", "refuse")
    shop.provider.always("refund", "refuse")
    shop.driven()

    assert found(at_rest=False) == []
    assert {name for _, name, _ in found()} == {"every_order_has_ended", "every_saga_has_ended"}


def test_a_skip_that_names_its_saga_alone_answers_for_its_order(shop):
    """As an act of an older version does."""
    shop.provider.always("create", "refuse")
    shop.provider.always("refund", "refuse")
    shop.driven()
    operations.skip(Saga.objects.get().pk, who=None, reason="refunded by bank transfer")
    drive()
    assert OperatorAct.objects.filter(verb="skip").update(detail={}) == 1

    assert found() == []
    OperatorAct.objects.all().delete()
    assert {check for _, check, _ in found()} >= {"an_order_that_failed_kept_nothing"}


@pytest.mark.parametrize(
    ("destination", "name", "check"),
    [
        ("notifications.order_confirmed", "confirmed", "every_end_is_told"),
        ("notifications.order_refunded", "unshippable", "every_refund_is_told"),
    ],
)
def test_a_notice_that_a_person_skipped_is_not_missed_once_its_message_is_purged(history, destination, name, check):
    """I4: whoever skips it answers for it; of other orders and other notices nothing is excused."""
    order_id = history[name]
    messages = OutboxMessage.objects.filter(destination=destination, correlation_id=order_id)
    messages.update(state="dead", attempts=8, last_error="away", finished_at=None)
    kind = "refunded" if "refund" in check else "confirmed"
    Notification.objects.filter(order_id=order_id, kind=kind).delete()
    assert outbox.skip([messages.get().key], who=None, reason="told by telephone") == 1
    messages.delete()

    assert check not in {one for _, one, _ in found()}
    OperatorAct.objects.update(detail={})
    assert check in {one for _, one, _ in found()}


def test_whoever_skips_a_compensation_answers_for_what_it_leaves(shop, settings):
    """I8: and the audit knows, even when the saga is purged."""
    shop.provider.always("create", "refuse")
    shop.provider.always("refund", "refuse")
    order = shop.driven()
    who = User.objects.create(username="ops")
    operations.skip(Saga.objects.get().pk, who=who, reason="refunded by bank transfer")
    drive()
    assert Order.objects.get(pk=order.pk).status == "rejected"

    assert found() == []
    Saga.objects.all().delete()
    assert {name for _, name, _ in found()} == {"every_order_had_its_saga"}
    settings.SAGAS = {**settings.SAGAS, "RETENTION_DAYS": 0}
    assert found() == []
