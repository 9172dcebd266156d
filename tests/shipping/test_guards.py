"""What Postgres itself refuses, whatever the code does."""

from uuid import uuid4

import pytest
from django.db import IntegrityError

from shipping.models import Cancellation, Shipment

pytestmark = pytest.mark.django_db


def shipment(**changes) -> Shipment:
    fields = {"order_id": uuid4(), "provider_key": uuid4().hex, "lines": [["WIDGET", 1]]}
    return Shipment.objects.create(**fields | changes)


def created(**changes) -> Shipment:
    return shipment(**{"status": "created", "provider_reference": uuid4().hex} | changes)


def cancellation(of: Shipment, **changes) -> Cancellation:
    fields = {"shipment": of, "order_id": of.order_id, "provider_key": uuid4().hex}
    return Cancellation.objects.create(**fields | changes)


@pytest.mark.parametrize("make", [shipment, created])
def test_a_second_live_shipment_of_one_order_is_refused_by_postgres(make):
    first = make()
    with pytest.raises(IntegrityError, match="shipment_one_live_per_order"):
        shipment(order_id=first.order_id)


def test_a_provider_key_used_twice_is_refused_by_postgres():
    first = shipment()
    with pytest.raises(IntegrityError, match="shipment_provider_key_is_used_once"):
        shipment(provider_key=first.provider_key)


def test_two_shipments_with_one_reference_are_refused_by_postgres():
    first = created()
    with pytest.raises(IntegrityError, match="shipment_provider_reference_is_one_shipment"):
        created(provider_reference=first.provider_reference)


def test_an_unknown_status_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match="shipment_status_is_known"):
        shipment(status="maybe")


def test_a_shipment_at_the_carrier_without_a_reference_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match="shipment_at_the_carrier_has_a_reference"):
        shipment(status="created")


def test_a_second_live_cancellation_of_one_shipment_is_refused_by_postgres():
    first = created()
    cancellation(first, status="refused")
    cancellation(first)
    with pytest.raises(IntegrityError, match="cancellation_one_live_per_shipment"):
        cancellation(first)


def test_a_cancellations_provider_key_used_twice_is_refused_by_postgres():
    first = cancellation(created())
    with pytest.raises(IntegrityError, match="cancellation_provider_key_is_used_once"):
        cancellation(created(), provider_key=first.provider_key)


def test_an_unknown_status_of_a_cancellation_is_refused_by_postgres():
    with pytest.raises(IntegrityError, match="cancellation_status_is_known"):
        cancellation(created(), status="maybe")
