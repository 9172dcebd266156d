"""What an answer of a provider means for the saga: each kind by name, and nothing else by accident (I13)."""

from datetime import timedelta

import pytest

from orders import sagas
from outbox.exceptions import CallOverstayed
from payments.services import ChargeReceipt, RefundReceipt
from providers import errors
from sagas.outcomes import Absent, Done, Refused, Retry, Unknown
from shipping.services import CancellationReceipt, ShipmentReceipt

RECEIPTS = [
    ChargeReceipt(provider_reference="r", amount_minor=1, currency="EUR"),
    RefundReceipt(provider_reference="r", amount_minor=1, currency="EUR"),
    ShipmentReceipt(provider_reference="r", tracking_number="T"),
    CancellationReceipt(provider_reference="r"),
]


def outcome(fact: object) -> object:
    return sagas._outcome(fact, refused="no")


@pytest.mark.parametrize("receipt", RECEIPTS, ids=lambda receipt: type(receipt).__name__)
def test_a_receipt_is_done_and_becomes_the_output(receipt: object):
    answer = outcome(receipt)
    assert isinstance(answer, Done)
    assert answer.output["provider_reference"] == "r"


def test_each_error_of_a_provider_has_one_meaning():
    assert outcome(errors.Refused("broke")) == Refused("no", error="broke")
    assert outcome(errors.Unavailable(retry_after_seconds=3)) == Retry(
        str(errors.Unavailable(retry_after_seconds=3)) or "unavailable", after=timedelta(seconds=3)
    )
    assert isinstance(outcome(errors.OutcomeUnknown("cut")), Unknown)
    assert isinstance(outcome(CallOverstayed()), Unknown)
    assert outcome(Absent()) == Absent()


@pytest.mark.parametrize("bug", [KeyError("x"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_what_is_no_answer_is_raised(bug: BaseException):
    with pytest.raises(type(bug)):
        outcome(bug)


@pytest.mark.parametrize("garbage", [None, "ok", {"status": "done"}, RECEIPTS])
def test_i13_what_nobody_has_named_is_no_success(garbage: object):
    """I13"""
    with pytest.raises(TypeError, match="no answer"):
        outcome(garbage)
