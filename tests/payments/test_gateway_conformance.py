"""What every gateway must do, against a provider in a process of its own that misbehaves on request.

A new gateway is registered in GATEWAYS, with a provider that knows these faults.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from local.stack import wait_until
from payments.gateways.base import ChargeIntent, RefundIntent
from payments.gateways.sandbox import SandboxGateway
from providers.errors import OutcomeUnknown, ProviderError, Refused, Unavailable

GATEWAYS = {"sandbox": SandboxGateway}

pytestmark = pytest.mark.usefixtures("short_limits")

# Nothing happens over there.
NOT_DONE = {
    "429": Unavailable,
    "503": Unavailable,
    "401": Unavailable,
    "404": Unavailable,
    "409": OutcomeUnknown,
    "5xx": OutcomeUnknown,
    "hang": OutcomeUnknown,
    "cut": OutcomeUnknown,
    "html": OutcomeUnknown,
    "nonsense": OutcomeUnknown,
    "redirect": OutcomeUnknown,
    "empty": OutcomeUnknown,
}
# It happens, and the caller does not get to know.
AFTER = ("5xx_after", "hang_after", "drop_reply", "half_reply", "drip", "wrong_amount", "wrong_key")
DONE = dict.fromkeys(
    (*AFTER, "html_after", "huge", "redirect_after", "bad_redirect", "two_lengths", "slow_2"), OutcomeUnknown
)


@pytest.fixture(params=GATEWAYS)
def make(request, sandbox):
    """Makes a gateway whose every request meets a fault."""

    def made(fault: str = ""):
        headers = {"X-Sandbox-Fault": fault} if fault else {}
        return GATEWAYS[request.param](url=sandbox.url, api_key="sandbox-key", headers=headers)

    return made


def charge_intent(method: str = "tok_ok", **changes) -> ChargeIntent:
    fields: dict[str, Any] = {
        "payment_id": uuid4(),
        "order_id": uuid4(),
        "provider_key": f"{uuid4()}:charge_payment",
        "amount_minor": 2_997,
        "currency": "EUR",
        "payment_method": method,
    }
    return ChargeIntent(**fields | changes)


def refund_intent(gateway, method: str = "tok_ok", *, charged: ChargeIntent | None = None, **changes) -> RefundIntent:
    charged = charged or charge_intent(method)
    fields: dict[str, Any] = {
        "refund_id": uuid4(),
        "payment_id": charged.payment_id,
        "order_id": charged.order_id,
        "provider_key": f"{uuid4()}:charge_payment.undo",
        "charge_reference": gateway.charge(charged).provider_reference,
        "amount_minor": charged.amount_minor,
        "currency": "EUR",
    }
    return RefundIntent(**fields | changes)


def exact(raised: ProviderError) -> type:
    """Which of the three it is: exactly one."""
    kinds = [kind for kind in (Refused, Unavailable, OutcomeUnknown) if isinstance(raised, kind)]
    assert len(kinds) == 1
    return kinds[0]


def test_a_charge_is_captured_and_found_again_by_its_key(make, sandbox):
    intent = charge_intent()
    receipt = make().charge(intent)
    assert (receipt.amount_minor, receipt.currency) == (2_997, "EUR")
    assert make().find_charge(intent) == receipt
    assert [entry["id"] for entry in sandbox.entries("/payments/charges", key=intent.provider_key)] == [
        receipt.provider_reference
    ]


def test_the_same_key_charges_once_however_often(make, sandbox):
    intent = charge_intent()
    receipts = {make().charge(intent) for _ in range(3)}
    assert len(receipts) == 1
    assert len(sandbox.entries("/payments/charges", key=intent.provider_key)) == 1


def test_a_key_nobody_used_is_absent(make):
    assert make().find_charge(charge_intent()) is None
    assert make().find_refund(refund_intent(make())) is None


@pytest.mark.parametrize(
    ("method", "reason"), [("tok_declined", "card_declined"), ("tok_insufficient_funds", "insufficient_funds")]
)
def test_a_decline_is_refused_and_stays_refused_when_asked_again(make, method, reason):
    intent = charge_intent(method)
    for ask in (make().charge, make().charge, make().find_charge):
        with pytest.raises(Refused) as raised:
            ask(intent)
        assert raised.value.reason == reason


@pytest.mark.parametrize(("fault", "error"), {**NOT_DONE, **DONE}.items())
def test_each_failure_of_a_charge_is_exactly_one_error_and_the_probe_tells_the_truth(make, fault, error):
    intent = charge_intent()
    with pytest.raises(ProviderError) as raised:
        make(fault).charge(intent)
    assert exact(raised.value) is error
    found = make().find_charge(intent)
    assert (found is not None) == (fault in DONE)


@pytest.mark.parametrize(("fault", "error"), {**NOT_DONE, **DONE}.items())
def test_each_failure_of_a_refund_is_exactly_one_error_and_the_probe_tells_the_truth(make, fault, error):
    intent = refund_intent(make())
    with pytest.raises(ProviderError) as raised:
        make(fault).refund(intent)
    assert exact(raised.value) is error
    found = make().find_refund(intent)
    assert (found is not None) == (fault in DONE)


@pytest.mark.parametrize("fault", [*NOT_DONE, *DONE])
def test_a_probe_that_fails_never_says_absent_and_never_says_refused(make, fault):  # I13
    intent = charge_intent()
    make().charge(intent)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        make(fault).find_charge(intent)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_provider_that_cannot_be_reached_is_unavailable(make, url):
    gateway = type(make())(url=url, api_key="sandbox-key")
    with pytest.raises(Unavailable):
        gateway.charge(charge_intent())


def test_wrong_credentials_decline_no_customer(make, sandbox):
    gateway = type(make())(url=sandbox.url, api_key="wrong")
    with pytest.raises(Unavailable):
        gateway.charge(charge_intent("tok_declined"))


def test_a_key_used_for_another_amount_is_unknown_and_never_refused(make):
    intent = charge_intent()
    make().charge(intent)
    other = charge_intent(provider_key=intent.provider_key, order_id=intent.order_id, amount_minor=1)
    with pytest.raises(OutcomeUnknown):
        make().charge(other)
    with pytest.raises(OutcomeUnknown):
        make().find_charge(other)


def test_a_charge_of_another_amount_than_asked_for_is_never_a_receipt(make):
    intent = charge_intent("tok_wrong_capture")
    for ask in (make().charge, make().find_charge):
        with pytest.raises(OutcomeUnknown, match="another amount"):
            ask(intent)


def test_a_charge_that_commits_late_is_absent_then_found(make, sandbox):
    intent = charge_intent("tok_late_1")
    with pytest.raises(OutcomeUnknown):
        make().charge(intent)
    assert make().find_charge(intent) is None
    with pytest.raises(OutcomeUnknown):
        make().charge(intent)  # the key is in use over there
    wait_until(lambda: make().find_charge(intent) is not None, within_seconds=20, what="the late commit")
    assert len(sandbox.entries("/payments/charges", key=intent.provider_key)) == 1


def test_a_refund_gives_the_money_back_once(make, sandbox):
    intent = refund_intent(make())
    receipts = {make().refund(intent) for _ in range(3)}
    assert len(receipts) == 1
    assert make().find_refund(intent) in receipts
    assert len(sandbox.entries("/payments/refunds", key=intent.provider_key)) == 1


def test_a_charge_that_was_given_back_is_found_as_none_that_anything_could_be_sent_for(make):
    charged = charge_intent()
    refunded = refund_intent(make(), charged=charged)
    assert make().find_charge(charged) is not None
    make().refund(refunded)
    with pytest.raises(Refused) as raised:
        make().find_charge(charged)
    assert raised.value.reason == "refunded"


def test_a_refund_the_provider_does_not_make_is_refused(make):
    intent = refund_intent(make(), "tok_refund_declined")
    for ask in (make().refund, make().find_refund):
        with pytest.raises(Refused) as raised:
            ask(intent)
        assert raised.value.reason == "refund_refused"


def test_the_listing_has_every_charge_page_by_page(make, monkeypatch):
    monkeypatch.setattr("payments.gateways.sandbox.PAGE_SIZE", 2)
    intents = [charge_intent(method) for method in ("tok_ok", "tok_declined", "tok_ok")]
    for intent in intents[::2]:
        make().charge(intent)
    with pytest.raises(Refused):
        make().charge(intents[1])
    listed = {charge.provider_key: charge for charge in make().charges()}
    assert [listed[intent.provider_key].captured for intent in intents] == [True, False, True]
    assert listed[intents[0].provider_key].amount_minor == 2_997


def test_the_listing_goes_on_behind_a_reference_and_tells_everything_that_is_compared(make):
    before = datetime.now(tz=UTC) - timedelta(seconds=1)
    first, second = charge_intent(), charge_intent()
    receipt = make().charge(first)
    make().charge(second)
    [charge] = [
        one for one in make().charges(after=receipt.provider_reference) if one.provider_key != first.provider_key
    ]
    assert (charge.provider_key, charge.order_id, charge.status) == (
        second.provider_key,
        str(second.order_id),
        "captured",
    )
    assert (charge.amount_minor, charge.refunded_minor, charge.currency) == (2_997, 0, "EUR")
    assert before < charge.created_at < datetime.now(tz=UTC) + timedelta(seconds=1)


def test_the_listing_of_one_key_has_that_one_or_none(make):
    intent = charge_intent()
    assert list(make().charges(key=intent.provider_key)) == []
    receipt = make().charge(intent)
    [charge] = make().charges(key=intent.provider_key)
    assert charge.provider_reference == receipt.provider_reference


def test_refunds_are_listed_with_the_charge_that_they_are_of(make):
    charged = charge_intent()
    intent = refund_intent(make(), charged=charged)
    receipt = make().refund(intent)
    [refund] = make().refunds(key=intent.provider_key)
    assert (refund.provider_reference, refund.charge_reference) == (receipt.provider_reference, intent.charge_reference)
    assert (refund.amount_minor, refund.currency, refund.status) == (2_997, "EUR", "refunded")
    assert refund in list(make().refunds())
    [charge] = make().charges(key=charged.provider_key)
    assert charge.refunded_minor == 2_997


@pytest.mark.parametrize("fault", ["html", "5xx", "half_reply", "cut"])
@pytest.mark.parametrize("listing", ["charges", "refunds"])
def test_a_listing_that_fails_is_an_error_and_never_a_short_list(make, fault, listing):
    with pytest.raises(ProviderError):
        list(getattr(make(fault), listing)())
