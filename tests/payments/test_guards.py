"""What Postgres itself refuses, whatever the code does."""

from uuid import uuid4

import pytest
from django.db import IntegrityError

from payments.models import Payment, Refund

pytestmark = pytest.mark.django_db


def payment(**changes) -> Payment:
    fields = {
        "order_id": uuid4(),
        "provider_key": uuid4().hex,
        "payment_method": "tok_ok",
        "amount_minor": 100,
        "currency": "EUR",
    }
    return Payment.objects.create(**fields | changes)


def captured(**changes) -> Payment:
    return payment(**{"status": "captured", "captured_minor": 100, "provider_reference": uuid4().hex} | changes)


def refund(of: Payment, **changes) -> Refund:
    fields = {"payment": of, "order_id": of.order_id, "provider_key": uuid4().hex, "amount_minor": 100}
    return Refund.objects.create(**fields | changes)


@pytest.mark.parametrize("status", ["pending", "unknown"])
def test_a_second_charge_of_one_order_is_refused_by_postgres(status):  # I3
    first = payment(status=status)
    with pytest.raises(IntegrityError, match="payment_one_live_per_order"):
        payment(order_id=first.order_id)


def test_a_second_charge_beside_a_captured_one_is_refused_by_postgres():  # I3
    first = captured()
    with pytest.raises(IntegrityError, match="payment_one_live_per_order"):
        payment(order_id=first.order_id)


def test_a_provider_key_used_twice_is_refused_by_postgres():  # I3
    first = payment()
    with pytest.raises(IntegrityError, match="payment_provider_key_is_used_once"):
        payment(provider_key=first.provider_key)


def test_two_payments_with_one_provider_reference_are_refused_by_postgres():  # I3
    first = captured()
    with pytest.raises(IntegrityError, match="payment_provider_reference_is_one_payment"):
        captured(provider_reference=first.provider_reference)


@pytest.mark.parametrize("refunded", [101, -1])
def test_a_refund_beyond_its_charge_is_refused_by_postgres(refunded):  # I3
    with pytest.raises(IntegrityError, match=r"payment_refunds_never_exceed_captured|payment_refunded_means_all"):
        captured(refunded_minor=refunded)


@pytest.mark.parametrize(("status", "minor"), [("captured", 99), ("captured", 0), ("pending", 100), ("declined", 1)])
def test_a_status_that_tells_another_story_than_the_amounts_is_refused_by_postgres(status, minor):  # I9
    with pytest.raises(IntegrityError, match="payment_captured_in_full_or_not_at_all"):
        payment(status=status, captured_minor=minor)


@pytest.mark.parametrize(("status", "minor"), [("refunded", 99), ("captured", 100)])
def test_refunded_means_all_of_it_and_nothing_else_does(status, minor):  # I9
    with pytest.raises(IntegrityError, match="payment_refunded_means_all_of_it"):
        captured(status=status, refunded_minor=minor)


def test_an_unknown_status_of_a_payment_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match=r"payment_status_is_known|payment_captured_in_full_or_not_at_all"):
        payment(status="maybe")


def test_an_unknown_status_of_a_refund_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match="refund_status_is_known"):
        refund(captured(), status="maybe")


def test_an_amount_of_nothing_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match="payment_amount_is_positive"):
        payment(amount_minor=0)


def test_a_second_live_refund_of_one_payment_is_refused_by_postgres():  # I3
    first = captured()
    refund(first)
    with pytest.raises(IntegrityError, match="refund_one_live_per_payment"):
        refund(first)


def test_a_refused_refund_leaves_room_for_another():
    first = captured()
    refund(first, status="refused")
    refund(first)
    assert Refund.objects.count() == 2


def test_a_refunds_provider_key_used_twice_is_refused_by_postgres():  # I3
    first = refund(captured())
    with pytest.raises(IntegrityError, match="refund_provider_key_is_used_once"):
        refund(captured(), provider_key=first.provider_key)
