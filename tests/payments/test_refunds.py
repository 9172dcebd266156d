"""Refunds: of all that was captured, once, and never while it is unknown whether there was a charge."""

from uuid import uuid4

import pytest
from django.db import transaction

from payments import services
from payments.exceptions import KeyReused, PaymentUnresolved
from payments.models import REFUND_TRANSITIONS, PaymentStatus, Refund, RefundStatus
from providers.errors import OutcomeUnknown, Refused, Unavailable
from tests.payments.builders import (
    captured,
    forget,
    note_refund,
    noted,
    receipt,
    record,
    record_refund,
    refund_receipt,
    row,
)

pytestmark = pytest.mark.django_db


def status_of(intent: services.RefundIntent) -> str:
    return Refund.objects.get(pk=intent.refund_id).status


def test_a_refund_stands_in_our_books_before_it_is_made():
    charged = captured()
    intent = note_refund(charged.order_id, "saga:charge.undo")
    assert (intent.provider_key, intent.amount_minor, intent.currency) == ("saga:charge.undo", 2_997, "EUR")
    assert intent.charge_reference == row(charged).provider_reference
    assert status_of(intent) == RefundStatus.PENDING
    assert row(charged).refunded_minor == 0


def test_noting_again_keeps_the_row():
    charged = captured()
    first = note_refund(charged.order_id, "saga:charge.undo")
    assert note_refund(charged.order_id, "saga:charge.undo") == first
    assert Refund.objects.count() == 1


@pytest.mark.parametrize("unknown", [False, True])
def test_while_the_charge_is_unknown_nothing_is_refunded(unknown):  # I13
    charged = noted()
    if unknown:
        record((charged, OutcomeUnknown()))
    with pytest.raises(PaymentUnresolved):
        note_refund(charged.order_id)
    assert Refund.objects.count() == 0


def test_where_nothing_was_captured_there_is_nothing_to_refund():
    declined, absent = noted(), noted()
    record((declined, Refused("card_declined")))
    forget(absent)
    for order_id in (declined.order_id, absent.order_id, uuid4()):
        assert note_refund(order_id) is None
    assert Refund.objects.count() == 0


def test_a_receipt_gives_the_money_back_and_is_published_once(published):
    charged = captured()
    intent = note_refund(charged.order_id)
    answer = refund_receipt(intent)
    record_refund((intent, answer))
    record_refund((intent, answer))
    payment = row(charged)
    assert (payment.status, payment.refunded_minor, payment.sequence) == (PaymentStatus.REFUNDED, 2_997, 2)
    assert status_of(intent) == RefundStatus.REFUNDED
    assert len(published()) == 2
    assert published()[1] == (
        "payment.refunded.v1",
        {
            "paymentId": str(payment.pk),
            "orderId": str(charged.order_id),
            "refundId": str(intent.refund_id),
            "amount": "29.97",
            "currency": "EUR",
        },
        2,
    )


def test_a_refunded_payment_is_not_refunded_again_under_another_key():
    charged = captured()
    intent = note_refund(charged.order_id)
    record_refund((intent, refund_receipt(intent)))
    assert note_refund(charged.order_id) is None


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Refused("refund_refused"), RefundStatus.REFUSED),
        (Unavailable(), RefundStatus.PENDING),
        (OutcomeUnknown(), RefundStatus.UNKNOWN),
        (TimeoutError(), RefundStatus.UNKNOWN),
    ],
)
def test_whatever_is_no_receipt_gives_nothing_back(answer, status, published):
    charged = captured()
    intent = note_refund(charged.order_id)
    record_refund((intent, answer))
    assert status_of(intent) == status
    assert (row(charged).status, row(charged).refunded_minor) == (PaymentStatus.CAPTURED, 0)
    assert len(published()) == 1


def test_a_refused_refund_that_was_made_after_all_is_refunded():
    charged = captured()
    intent = note_refund(charged.order_id)
    record_refund((intent, Refused("refund_refused")))
    record_refund((intent, refund_receipt(intent)))
    assert (status_of(intent), row(charged).status) == (RefundStatus.REFUNDED, PaymentStatus.REFUNDED)


def test_a_refund_never_gives_way_to_a_lesser_fact_of_a_stale_runner():
    charged = captured()
    intent = note_refund(charged.order_id)
    record_refund((intent, refund_receipt(intent)))
    record_refund((intent, OutcomeUnknown()), (intent, Refused("refund_refused")))
    assert (status_of(intent), row(charged).refunded_minor) == (RefundStatus.REFUNDED, 2_997)


def test_a_late_capture_is_refunded_like_any_other():  # F13
    charged = noted()
    forget(charged)
    record((charged, receipt(charged)))
    intent = note_refund(charged.order_id)
    record_refund((intent, refund_receipt(intent)))
    assert row(charged).status == PaymentStatus.REFUNDED


def test_one_key_means_one_order():
    note_refund(captured().order_id, "saga:charge.undo")
    with pytest.raises(KeyReused):
        note_refund(captured().order_id, "saga:charge.undo")


@pytest.mark.parametrize("count", [1, 30])
def test_the_number_of_statements_does_not_grow_with_the_batch(count, django_assert_num_queries, published):
    orders = [captured().order_id for _ in range(count)]
    requests = [services.RefundRequest(order_id=order_id, saga_key=f"{order_id}:undo") for order_id in orders]
    with transaction.atomic():
        with django_assert_num_queries(3):
            intents = services.note_refunds(requests)
        answers = [(intent, refund_receipt(intent)) for intent in intents.values()]
        # Locks, writes, and the messages: one for the outside, one for the order, in one statement.
        with django_assert_num_queries(5):
            services.record_refunds(answers)
    assert Refund.objects.filter(status="refunded").count() == count


def test_every_status_has_its_row_in_the_table_of_transitions():
    assert set(REFUND_TRANSITIONS) == set(RefundStatus)
