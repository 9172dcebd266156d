"""Note, call, record, against a carrier in a process of its own: what the process that ships goes through."""

import pytest

from providers import backend
from providers.errors import OutcomeUnknown, ProviderError
from shipping import services
from shipping.models import ShipmentStatus
from tests.shipping.builders import note_cancellation, noted, record, record_cancellation, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("short_limits")]


@pytest.fixture
def served(settings, sandbox):
    """The service's own carrier, talking to the sandbox of this run."""
    settings.CARRIER = settings.CARRIER | {"OPTIONS": {"url": sandbox.url, "api_key": "sandbox-key"}}
    backend.forget()
    yield sandbox
    backend.forget()


def call(perform, intent) -> object:
    """What a call's thread brings back."""
    try:
        return perform(intent)
    except ProviderError as error:
        return error


def test_a_shipment_whose_reply_was_lost_is_found_and_taken_back(served):
    intent = noted(lines=[("SHIP-DROP-REPLY", 1), ("CANCEL-DROP-REPLY", 1)])
    record((intent, call(services.create_shipment, intent)))
    assert row(intent).status == ShipmentStatus.UNKNOWN
    record((intent, call(services.find_shipment, intent)))
    assert row(intent).status == ShipmentStatus.CREATED
    undo = note_cancellation(intent.order_id)
    record_cancellation((undo, call(services.cancel_shipment, undo)))
    assert row(intent).status == ShipmentStatus.CREATED
    record_cancellation((undo, call(services.find_cancellation, undo)))
    assert row(intent).status == ShipmentStatus.CANCELLED
    [entry] = served.entries("/shipping/shipments", key=intent.provider_key)
    assert entry["status"] == "cancelled"


def test_an_unshippable_parcel_is_refused_with_its_reason(served):
    intent = noted(lines=[("UNSHIPPABLE", 1)])
    record((intent, call(services.create_shipment, intent)))
    assert (row(intent).status, row(intent).reason) == (ShipmentStatus.REFUSED, "unshippable")


@pytest.mark.parametrize("mood", ["down", "dead"])
def test_a_probe_that_could_not_be_asked_leaves_the_outcome_unknown(served, mood):  # I13
    intent = noted(lines=[("SHIP-DROP-REPLY", 1)])
    record((intent, call(services.create_shipment, intent)))
    served.mood("shipping", mood)
    try:
        answer = call(services.find_shipment, intent)
    finally:
        served.mood("shipping", "ok")
    assert type(answer) is OutcomeUnknown


def test_our_books_and_the_carriers_agree(served):
    intents = [noted(lines=[(sku, 1)]) for sku in ("WIDGET", "UNSHIPPABLE")]
    for intent in intents:
        record((intent, call(services.create_shipment, intent)))
    theirs = {shipment.provider_key: shipment.is_active for shipment in services.provider_shipments()}
    ours = {intent.provider_key: row(intent).status == ShipmentStatus.CREATED for intent in intents}
    assert ours.items() <= theirs.items()
    assert list(ours.values()) == [True, False]
