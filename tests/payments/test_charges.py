"""Charges: noted before they are made, recorded as facts, forgotten only when nothing happened."""

from uuid import uuid4

import pytest
from django.db import transaction

from payments import selectors, services
from payments.exceptions import KeyReused, LivePaymentExists
from payments.models import PAYMENT_TRANSITIONS, Payment, PaymentStatus
from providers.errors import OutcomeUnknown, Refused, Unavailable
from tests.payments.builders import captured, forget, note, note_refund, noted, receipt, record, request, row

pytestmark = pytest.mark.django_db


def test_a_charge_stands_in_our_books_before_it_is_made():
    asked = request()
    [intent] = note(asked)
    assert (intent.provider_key, intent.amount_minor, intent.payment_method) == (asked.saga_key, 2_997, "tok_ok")
    assert (row(intent).status, row(intent).captured_minor) == (PaymentStatus.PENDING, 0)


def test_noting_again_keeps_the_row():
    asked = request()
    assert note(asked) == note(asked)
    assert Payment.objects.count() == 1


def test_a_batch_of_new_and_known_charges_is_noted_together():
    known, fresh = request(), request()
    note(known)
    intents = note(fresh, known)
    assert [intent.provider_key for intent in intents] == [fresh.saga_key, known.saga_key]
    assert Payment.objects.count() == 2


@pytest.mark.parametrize("state", ["pending", "unknown", "captured"])
def test_a_second_live_payment_of_one_order_is_refused(state):  # I3
    intent = noted()
    if state != "pending":
        record((intent, receipt(intent) if state == "captured" else OutcomeUnknown()))
    with pytest.raises(LivePaymentExists):
        note(request(intent.order_id))
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("change", [{"amount_minor": 1}, {"currency": "USD"}, {"payment_method": "tok_b"}])
def test_one_key_means_one_operation(change):  # I3
    asked = request()
    note(asked)
    with pytest.raises(KeyReused):
        note(request(asked.order_id, saga_key=asked.saga_key, **change))


def test_a_receipt_makes_the_payment_captured_and_is_published_once(published):
    intent = noted()
    answer = receipt(intent)
    record((intent, answer))
    record((intent, answer))
    payment = row(intent)
    assert (payment.status, payment.captured_minor, payment.sequence) == (PaymentStatus.CAPTURED, 2_997, 1)
    assert payment.provider_reference == answer.provider_reference
    assert published() == [
        (
            "payment.charged.v1",
            {
                "paymentId": str(payment.pk),
                "orderId": str(intent.order_id),
                "providerReference": answer.provider_reference,
                "amount": "29.97",
                "currency": "EUR",
            },
            1,
        )
    ]


def test_a_refusal_makes_it_declined_with_the_providers_reason(published):
    intent = noted()
    record((intent, Refused("card_declined")))
    assert (row(intent).status, row(intent).reason) == (PaymentStatus.DECLINED, "card_declined")
    assert [(kind, payload["reason"]) for kind, payload, _ in published()] == [("payment.declined.v1", "card_declined")]


def test_an_unavailable_provider_changes_nothing(published):
    intent = noted()
    record((intent, Unavailable("not sent")))
    assert row(intent).status == PaymentStatus.PENDING
    record((intent, OutcomeUnknown("a cut")))
    record((intent, Unavailable("not sent")))
    assert (row(intent).status, row(intent).reason) == (PaymentStatus.UNKNOWN, "a cut")
    assert published() == []


@pytest.mark.parametrize("answer", [OutcomeUnknown("x" * 500), TimeoutError("overstayed"), None, "what?"])
def test_whatever_is_no_answer_leaves_the_outcome_unknown(answer):  # I13
    intent = noted()
    record((intent, answer))
    assert row(intent).status == PaymentStatus.UNKNOWN


@pytest.mark.parametrize("lesser", [Refused("card_declined"), Unavailable(), OutcomeUnknown()])
def test_a_capture_never_gives_way_to_a_lesser_fact_of_a_stale_runner(lesser, published):
    intent = captured()
    record((intent, lesser))
    assert (row(intent).status, row(intent).captured_minor) == (PaymentStatus.CAPTURED, 2_997)
    assert len(published()) == 1


def test_an_unknown_charge_found_later_is_captured():
    intent = noted()
    record((intent, OutcomeUnknown()))
    record((intent, receipt(intent)))
    assert row(intent).status == PaymentStatus.CAPTURED


def test_a_charge_that_never_happened_is_forgotten_and_the_order_may_be_charged_anew():
    intent = noted()
    record((intent, OutcomeUnknown()))
    assert forget(intent) == {intent.order_id}
    assert row(intent).status == PaymentStatus.ABSENT
    note(request(intent.order_id))
    assert Payment.objects.count() == 2


def test_a_charge_that_was_captured_meanwhile_is_not_forgotten():
    intent, other = captured(), noted()
    assert forget(intent, other) == {other.order_id}
    assert row(intent).status == PaymentStatus.CAPTURED


@pytest.mark.parametrize("settled_by", ["forgotten", "declined"])
def test_a_capture_found_after_we_gave_up_is_visible_published_and_refundable(settled_by, published):  # F13
    intent = noted()
    if settled_by == "forgotten":
        forget(intent)
    else:
        record((intent, Refused("card_declined")))
    record((intent, receipt(intent)))
    assert (row(intent).status, row(intent).captured_minor) == (PaymentStatus.LATE, 2_997)
    kind, payload, _ = published()[-1]
    assert (kind, payload["amount"]) == ("payment.charged_late.v1", "29.97")
    assert note_refund(intent.order_id).amount_minor == 2_997


def test_a_late_capture_can_be_written_beside_a_live_payment():
    late = noted()
    forget(late)
    live = note(request(late.order_id))[0]
    record((live, receipt(live)), (late, receipt(late)))
    assert {row(late).status, row(live).status} == {PaymentStatus.LATE, PaymentStatus.CAPTURED}


@pytest.mark.parametrize("count", [1, 50])
def test_the_number_of_statements_does_not_grow_with_the_batch(count, django_assert_num_queries, published):
    requests = [request() for _ in range(count)]
    with transaction.atomic():
        with django_assert_num_queries(1):
            intents = services.note_charges(requests)
        answers = [(intent, receipt(intent)) for intent in intents.values()]
        with django_assert_num_queries(3):
            services.record_charges(answers)
    assert len(published()) == count
    assert Payment.objects.filter(status="captured").count() == count


def test_facts_are_recorded_in_the_callers_transaction_only():
    intent = noted()
    with transaction.atomic():
        services.record_charges([(intent, receipt(intent))])
        transaction.set_rollback(True)
    assert row(intent).status == PaymentStatus.PENDING


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_an_error():
    intent = noted()
    with pytest.raises(transaction.TransactionManagementError):
        services.record_charges([(intent, receipt(intent))])
    assert row(intent).status == PaymentStatus.PENDING


def test_what_is_shown_of_an_order_is_its_newest_payment_in_one_query(django_assert_num_queries):
    intent = noted()
    forget(intent)
    note(request(intent.order_id, amount_minor=500))
    with django_assert_num_queries(1):
        shown = selectors.for_orders([intent.order_id, uuid4()])
    assert shown == {intent.order_id: {"status": "pending", "amount": "5.00", "refunded": "0.00", "currency": "EUR"}}


def test_every_status_has_its_row_in_the_table_of_transitions():
    assert set(PAYMENT_TRANSITIONS) == set(PaymentStatus)
