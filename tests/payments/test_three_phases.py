"""Note, call, record, against a provider in a process of its own: what the process that charges goes through."""

import pytest

from local.stack import wait_until
from payments import services
from payments.models import PaymentStatus
from providers.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from tests.payments.builders import forget, note_refund, noted, record, record_refund, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("short_limits")]


def call(perform, intent) -> object:
    """What a call's thread brings back."""
    try:
        return perform(intent)
    except ProviderError as error:
        return error


def test_a_charge_whose_reply_was_lost_is_found_and_refunded(served):
    """S10: a charge that timed out but happened is found and refunded when the saga fails."""
    intent = noted(payment_method="tok_drop_reply")
    record((intent, call(services.charge, intent)))
    assert row(intent).status == PaymentStatus.UNKNOWN
    record((intent, call(services.find_charge, intent)))
    assert row(intent).status == PaymentStatus.CAPTURED
    refund = note_refund(intent.order_id)
    record_refund((refund, call(services.refund, refund)))
    assert row(intent).status == PaymentStatus.REFUNDED
    [entry] = served.entries("/payments/charges", key=intent.provider_key)
    assert (entry["amount_minor"], entry["refunded_minor"]) == (2_997, 2_997)


def test_a_charge_that_never_arrived_is_absent_and_is_made_with_the_same_key(served):
    intent = noted(payment_method="tok_cut_once")
    record((intent, call(services.charge, intent)))
    assert services.find_charge(intent) is None
    record((intent, call(services.charge, intent)))
    assert row(intent).status == PaymentStatus.CAPTURED
    assert len(served.entries("/payments/charges", key=intent.provider_key)) == 1


def test_a_charge_that_commits_after_we_gave_up_is_late_and_refunded(served):  # F13
    intent = noted(payment_method="tok_late_1")
    record((intent, call(services.charge, intent)))
    assert services.find_charge(intent) is None
    forget(intent)
    wait_until(lambda: services.find_charge(intent) is not None, within_seconds=20, what="the late commit")
    record((intent, call(services.find_charge, intent)))
    assert row(intent).status == PaymentStatus.LATE
    refund = note_refund(intent.order_id)
    record_refund((refund, call(services.refund, refund)))
    assert row(intent).status == PaymentStatus.REFUNDED


@pytest.mark.parametrize("mood", ["down", "dead"])
def test_a_probe_that_could_not_be_asked_leaves_the_outcome_unknown(served, mood):  # I13
    """Unavailable means "nothing happened", which is just what an unanswered question does not tell."""
    intent = noted(payment_method="tok_drop_reply")
    record((intent, call(services.charge, intent)))
    served.mood("payments", mood)
    try:
        answer = call(services.find_charge, intent)
    finally:
        served.mood("payments", "ok")
    assert type(answer) is OutcomeUnknown
    record((intent, answer))
    assert row(intent).status == PaymentStatus.UNKNOWN


def test_a_provider_that_is_down_declines_nobody_and_says_when_to_come_back(served):
    intent = noted(payment_method="tok_declined")
    served.mood("payments", "down")
    try:
        answer = call(services.charge, intent)
    finally:
        served.mood("payments", "ok")
    assert (type(answer), answer.retry_after_seconds) == (Unavailable, 1.0)
    record((intent, answer))
    assert row(intent).status == PaymentStatus.PENDING
    record((intent, call(services.charge, intent)))
    assert (row(intent).status, row(intent).reason) == (PaymentStatus.DECLINED, "card_declined")


def test_a_decline_is_found_by_the_probe_as_a_decline(served):
    intent = noted(payment_method="tok_declined")
    call(services.charge, intent)
    assert isinstance(call(services.find_charge, intent), Refused)


def test_our_books_and_the_providers_agree(served):
    intents = [noted(payment_method=method) for method in ("tok_ok", "tok_declined", "tok_drop_reply")]
    for intent in intents:
        record((intent, call(services.charge, intent)))
        record((intent, call(services.find_charge, intent)))
    theirs = {charge.provider_key: charge.captured for charge in services.provider_charges()}
    ours = {intent.provider_key: row(intent).status == PaymentStatus.CAPTURED for intent in intents}
    assert ours.items() <= theirs.items()
    assert list(ours.values()) == [True, False, True]
