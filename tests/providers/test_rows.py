"""Writing what a provider said: along the table of transitions, and only over what was locked."""

import pytest

from payments.models import Payment, PaymentStatus
from payments.services.rows import lock_payments, write_payments
from providers.rows import move, statuses
from tests.payments.builders import noted, row

pytestmark = pytest.mark.django_db


def test_a_row_moves_to_the_first_target_that_its_status_allows():
    payment = Payment(status=PaymentStatus.ABSENT)
    assert move(payment, PaymentStatus.CAPTURED, PaymentStatus.LATE) == PaymentStatus.LATE
    assert move(payment, PaymentStatus.UNKNOWN, PaymentStatus.DECLINED) is None
    assert payment.status == PaymentStatus.LATE


def test_a_row_that_changed_since_it_was_read_is_not_written_over():
    intent = noted()
    rows = lock_payments([intent.payment_id])
    before = statuses(rows)
    Payment.objects.update(status=PaymentStatus.ABSENT)
    move(rows[intent.payment_id], PaymentStatus.UNKNOWN)
    with pytest.raises(RuntimeError, match="0 of 1 locked rows"):
        write_payments(rows, before=before)
    assert row(intent).status == PaymentStatus.ABSENT


def test_a_row_that_did_not_move_costs_no_statement(django_assert_num_queries):
    rows = lock_payments([noted().payment_id])
    with django_assert_num_queries(0):
        write_payments(rows, before=statuses(rows))
