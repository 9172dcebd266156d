"""Shipments and cancellations: noted before they are asked for, recorded as facts."""

from uuid import uuid4

import pytest
from django.db import transaction

from providers.errors import OutcomeUnknown, Refused, Unavailable
from shipping import selectors, services
from shipping.exceptions import KeyReused, LiveShipmentExists, ShipmentUnresolved
from shipping.models import (
    CANCELLATION_TRANSITIONS,
    SHIPMENT_TRANSITIONS,
    Cancellation,
    CancellationStatus,
    Shipment,
    ShipmentStatus,
)
from tests.shipping.builders import (
    cancellation_receipt,
    created,
    forget,
    note,
    note_cancellation,
    noted,
    receipt,
    record,
    record_cancellation,
    request,
    row,
)

pytestmark = pytest.mark.django_db


def test_a_shipment_stands_in_our_books_before_it_is_asked_for():
    asked = request()
    [intent] = note(asked)
    assert (intent.provider_key, intent.lines) == (asked.saga_key, (("WIDGET", 2), ("GADGET", 1)))
    assert row(intent).status == ShipmentStatus.PENDING


def test_noting_again_keeps_the_row():
    asked = request()
    assert note(asked) == note(asked)
    assert Shipment.objects.count() == 1


def test_a_second_live_shipment_of_one_order_is_refused():
    intent = noted()
    with pytest.raises(LiveShipmentExists):
        note(request(intent.order_id))
    assert Shipment.objects.count() == 1


def test_one_key_means_one_parcel():
    asked = request()
    note(asked)
    with pytest.raises(KeyReused):
        note(request(asked.order_id, saga_key=asked.saga_key, lines=[("WIDGET", 3)]))


def test_a_receipt_makes_it_created_and_is_published_once(published):
    intent = noted()
    answer = receipt()
    record((intent, answer))
    record((intent, answer))
    assert (row(intent).status, row(intent).tracking_number, row(intent).sequence) == ("created", "TRACK1", 1)
    assert published() == [
        (
            "shipment.created.v1",
            {
                "shipmentId": str(intent.shipment_id),
                "orderId": str(intent.order_id),
                "trackingNumber": "TRACK1",
            },
            1,
        )
    ]


def test_a_refusal_makes_it_refused_with_the_carriers_reason(published):
    intent = noted()
    record((intent, Refused("unshippable")))
    assert (row(intent).status, row(intent).reason) == (ShipmentStatus.REFUSED, "unshippable")
    assert [kind for kind, _, _ in published()] == ["shipment.refused.v1"]


@pytest.mark.parametrize(("answer", "status"), [(Unavailable(), "pending"), (OutcomeUnknown(), "unknown")])
def test_whatever_is_no_answer_creates_nothing(answer, status, published):  # I13
    intent = noted()
    record((intent, answer))
    assert row(intent).status == status
    assert published() == []


@pytest.mark.parametrize("lesser", [Refused("unshippable"), Unavailable(), OutcomeUnknown()])
def test_a_shipment_never_gives_way_to_a_lesser_fact_of_a_stale_runner(lesser):
    intent = created()
    record((intent, lesser))
    assert row(intent).status == ShipmentStatus.CREATED


def test_only_what_never_happened_is_forgotten():
    happened, absent = created(), noted()
    assert forget(happened, absent) == {absent.order_id}
    assert (row(happened).status, row(absent).status) == (ShipmentStatus.CREATED, ShipmentStatus.ABSENT)


def test_a_shipment_found_after_we_gave_up_is_visible_published_and_cancellable(published):  # F13
    intent = noted()
    forget(intent)
    record((intent, receipt()))
    assert row(intent).status == ShipmentStatus.LATE
    assert [kind for kind, _, _ in published()] == ["shipment.created_late.v1"]
    assert note_cancellation(intent.order_id) is not None


def test_a_cancellation_stands_in_our_books_before_it_is_asked_for_and_keeps_its_row():
    shipped = created()
    first = note_cancellation(shipped.order_id, "saga:ship.undo")
    assert first.shipment_reference == row(shipped).provider_reference
    assert note_cancellation(shipped.order_id, "saga:ship.undo") == first
    assert Cancellation.objects.count() == 1


@pytest.mark.parametrize("unknown", [False, True])
def test_while_the_shipment_is_unknown_nothing_is_cancelled(unknown):  # I13
    intent = noted()
    if unknown:
        record((intent, OutcomeUnknown()))
    with pytest.raises(ShipmentUnresolved):
        note_cancellation(intent.order_id)


def test_where_there_is_no_shipment_there_is_nothing_to_cancel():
    refused, absent = noted(), noted()
    record((refused, Refused("unshippable")))
    forget(absent)
    assert [note_cancellation(order) for order in (refused.order_id, absent.order_id, uuid4())] == [None] * 3


def test_a_cancellation_that_was_made_is_published_once(published):
    shipped = created()
    intent = note_cancellation(shipped.order_id)
    record_cancellation((intent, cancellation_receipt()))
    record_cancellation((intent, cancellation_receipt()), (intent, OutcomeUnknown()))
    assert (row(shipped).status, row(shipped).sequence) == (ShipmentStatus.CANCELLED, 2)
    assert [kind for kind, _, _ in published()] == ["shipment.created.v1", "shipment.cancelled.v1"]
    assert note_cancellation(shipped.order_id) is None


@pytest.mark.parametrize(
    ("answer", "status"),
    [(Refused("already_handed_over"), "refused"), (Unavailable(), "pending"), (OutcomeUnknown(), "unknown")],
)
def test_whatever_is_no_receipt_cancels_nothing(answer, status):
    shipped = created()
    intent = note_cancellation(shipped.order_id)
    record_cancellation((intent, answer))
    assert Cancellation.objects.get().status == status
    assert row(shipped).status == ShipmentStatus.CREATED


def test_one_key_means_one_order():
    note_cancellation(created().order_id, "saga:ship.undo")
    with pytest.raises(KeyReused):
        note_cancellation(created().order_id, "saga:ship.undo")


@pytest.mark.parametrize("count", [1, 30])
def test_the_number_of_statements_does_not_grow_with_the_batch(count, django_assert_num_queries, published):
    requests = [request() for _ in range(count)]
    undo = [services.CancellationRequest(order_id=one.order_id, saga_key=f"{one.order_id}:undo") for one in requests]
    with transaction.atomic():
        with django_assert_num_queries(1):
            intents = services.note_shipments(requests)
        answers = [(intent, receipt()) for intent in intents.values()]
        with django_assert_num_queries(3):
            services.record_shipments(answers)
        with django_assert_num_queries(3):
            cancellations = services.note_cancellations(undo)
        with django_assert_num_queries(5):
            services.record_cancellations([(one, cancellation_receipt()) for one in cancellations.values()])
    assert Shipment.objects.filter(status="cancelled").count() == count


def test_what_is_shown_of_an_order_is_its_newest_shipment_in_one_query(django_assert_num_queries):
    intent, pending = created(), noted()
    with django_assert_num_queries(1):
        shown = selectors.for_orders([intent.order_id, pending.order_id, uuid4()])
    assert shown == {
        intent.order_id: {"status": "created", "tracking_number": "TRACK1"},
        pending.order_id: {"status": "pending", "tracking_number": None},
    }


def test_every_status_has_its_row_in_the_tables_of_transitions():
    assert set(SHIPMENT_TRANSITIONS) == set(ShipmentStatus)
    assert set(CANCELLATION_TRANSITIONS) == set(CancellationStatus)
