"""What every carrier must do, against one in a process of its own that misbehaves on request.

A new carrier is registered in CARRIERS, with a counterpart that knows these faults.
"""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from local.stack import wait_until
from providers.errors import OutcomeUnknown, ProviderError, Refused, Unavailable
from shipping.carriers.base import CancellationIntent, ShipmentIntent
from shipping.carriers.sandbox import SandboxCarrier

CARRIERS = {"sandbox": SandboxCarrier}

pytestmark = pytest.mark.usefixtures("short_limits")

# Nothing happens over there.
NOT_DONE = dict.fromkeys(("429", "503", "401", "404"), Unavailable) | dict.fromkeys(
    ("409", "5xx", "hang", "cut", "html", "nonsense", "redirect", "empty"), OutcomeUnknown
)
# It happens, and the caller does not get to know.
AFTER = ("5xx_after", "hang_after", "drop_reply", "half_reply", "drip", "wrong_key", "html_after", "huge")
DONE = dict.fromkeys((*AFTER, "redirect_after", "bad_redirect", "two_lengths", "slow_2"), OutcomeUnknown)


@pytest.fixture(params=CARRIERS)
def make(request, sandbox):
    """Makes a carrier whose every request meets a fault."""

    def made(fault: str = ""):
        headers = {"X-Sandbox-Fault": fault} if fault else {}
        return CARRIERS[request.param](url=sandbox.url, api_key="sandbox-key", headers=headers)

    return made


def shipment_intent(*skus: str) -> ShipmentIntent:
    return ShipmentIntent(
        shipment_id=uuid4(),
        order_id=uuid4(),
        provider_key=f"{uuid4()}:create_shipment",
        lines=tuple((sku, 1) for sku in skus or ("WIDGET",)),
    )


def cancellation_intent(carrier, *skus: str) -> CancellationIntent:
    created = shipment_intent(*skus)
    return CancellationIntent(
        cancellation_id=uuid4(),
        shipment_id=created.shipment_id,
        order_id=created.order_id,
        provider_key=f"{uuid4()}:create_shipment.undo",
        shipment_reference=carrier.create(created).provider_reference,
    )


def exact(raised: ProviderError) -> type:
    """Which of the three it is: exactly one."""
    kinds = [kind for kind in (Refused, Unavailable, OutcomeUnknown) if isinstance(raised, kind)]
    assert len(kinds) == 1
    return kinds[0]


def test_a_shipment_is_created_and_found_again_by_its_key(make):
    intent = shipment_intent("WIDGET", "GADGET")
    receipt = make().create(intent)
    assert receipt.tracking_number.startswith("TRACK")
    assert make().find(intent) == receipt


def test_the_same_key_ships_once_however_often(make, sandbox):
    intent = shipment_intent()
    assert len({make().create(intent) for _ in range(3)}) == 1
    assert len(sandbox.entries("/shipping/shipments", key=intent.provider_key)) == 1


def test_a_key_nobody_used_is_absent(make):
    assert make().find(shipment_intent()) is None
    assert make().find_cancellation(cancellation_intent(make())) is None


def test_a_parcel_the_carrier_does_not_take_is_refused_and_stays_refused_when_asked_again(make):
    intent = shipment_intent("WIDGET", "UNSHIPPABLE")
    for ask in (make().create, make().create, make().find):
        with pytest.raises(Refused) as raised:
            ask(intent)
        assert raised.value.reason == "unshippable"


@pytest.mark.parametrize(("fault", "error"), {**NOT_DONE, **DONE}.items())
def test_each_failure_of_a_shipment_is_exactly_one_error_and_the_probe_tells_the_truth(make, fault, error):
    intent = shipment_intent()
    with pytest.raises(ProviderError) as raised:
        make(fault).create(intent)
    assert exact(raised.value) is error
    assert (make().find(intent) is not None) == (fault in DONE)


@pytest.mark.parametrize(("fault", "error"), {**NOT_DONE, **DONE}.items())
def test_each_failure_of_a_cancellation_is_exactly_one_error_and_the_probe_tells_the_truth(make, fault, error):
    intent = cancellation_intent(make())
    with pytest.raises(ProviderError) as raised:
        make(fault).cancel(intent)
    assert exact(raised.value) is error
    assert (make().find_cancellation(intent) is not None) == (fault in DONE)


@pytest.mark.parametrize("fault", [*NOT_DONE, *DONE])
def test_a_probe_that_fails_never_says_absent_and_never_says_refused(make, fault):  # I13
    intent = shipment_intent()
    make().create(intent)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        make(fault).find(intent)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_carrier_that_cannot_be_reached_is_unavailable(make, url):
    with pytest.raises(Unavailable):
        type(make())(url=url, api_key="sandbox-key").create(shipment_intent())


def test_a_product_can_ask_for_a_fault_of_its_shipment_or_its_cancellation(make):
    with pytest.raises(OutcomeUnknown):
        make().create(shipment_intent("SHIP-DROP-REPLY"))
    intent = cancellation_intent(make(), "CANCEL-DROP-REPLY")
    with pytest.raises(OutcomeUnknown):
        make().cancel(intent)
    assert make().find_cancellation(intent) is not None


def test_a_shipment_that_commits_late_is_absent_then_found(make):
    intent = shipment_intent("SHIP-LATE-1")
    with pytest.raises(OutcomeUnknown):
        make().create(intent)
    assert make().find(intent) is None
    wait_until(lambda: make().find(intent) is not None, within_seconds=20, what="the late commit")


def test_a_cancelled_shipment_is_found_as_none_that_an_order_could_be_confirmed_on(make):
    created = shipment_intent()
    receipt = make().create(created)
    intent = CancellationIntent(
        cancellation_id=uuid4(),
        shipment_id=created.shipment_id,
        order_id=created.order_id,
        provider_key=f"{uuid4()}:create_shipment.undo",
        shipment_reference=receipt.provider_reference,
    )
    assert len({make().cancel(intent) for _ in range(3)}) == 1
    with pytest.raises(Refused) as raised:
        make().find(created)
    assert raised.value.reason == "cancelled"
    listed = {shipment.provider_key: shipment.is_active for shipment in make().shipments()}
    assert listed[created.provider_key] is False


def test_a_parcel_on_the_road_is_not_taken_back(make):
    intent = cancellation_intent(make(), "CANCEL-REFUSED")
    for ask in (make().cancel, make().find_cancellation):
        with pytest.raises(Refused) as raised:
            ask(intent)
        assert raised.value.reason == "already_handed_over"


def test_the_listing_has_every_shipment_page_by_page(make, monkeypatch):
    monkeypatch.setattr("shipping.carriers.sandbox.PAGE_SIZE", 2)
    intents = [shipment_intent() for _ in range(3)]
    for intent in intents:
        make().create(intent)
    listed = {shipment.provider_key for shipment in make().shipments()}
    assert {intent.provider_key for intent in intents} <= listed


def test_the_listing_goes_on_behind_a_reference_and_tells_everything_that_is_compared(make):
    first, second = shipment_intent(), shipment_intent()
    receipt = make().create(first)
    make().create(second)
    listed = {one.provider_key: one for one in make().shipments(after=receipt.provider_reference)}
    assert first.provider_key not in listed
    shipment = listed[second.provider_key]
    assert (shipment.order_id, shipment.status) == (str(second.order_id), "created")
    assert abs(datetime.now(tz=UTC) - shipment.created_at) < timedelta(minutes=1)


def test_the_listing_of_one_key_has_that_one_or_none(make):
    intent = shipment_intent()
    assert list(make().shipments(key=intent.provider_key)) == []
    receipt = make().create(intent)
    assert [one.provider_reference for one in make().shipments(key=intent.provider_key)] == [receipt.provider_reference]


def test_cancellations_are_listed_with_the_shipment_that_they_are_of(make):
    intent = cancellation_intent(make())
    receipt = make().cancel(intent)
    [cancellation] = make().cancellations(key=intent.provider_key)
    assert (cancellation.provider_reference, cancellation.status) == (receipt.provider_reference, "cancelled")
    assert cancellation.shipment_reference == intent.shipment_reference
    assert cancellation in list(make().cancellations())


@pytest.mark.parametrize("fault", ["html", "5xx", "half_reply", "cut"])
@pytest.mark.parametrize("listing", ["shipments", "cancellations"])
def test_a_listing_that_fails_is_an_error_and_never_a_short_list(make, fault, listing):
    with pytest.raises(ProviderError):
        list(getattr(make(fault), listing)())
