"""The saga engine's metrics: what turned a saga, and counters that begin at 0."""

import pytest

from orders.cancellation import request_cancel
from sagas import definition, operations, telemetry
from tests.support.drive import drive
from tests.support.shop import outcome, saga_of

pytestmark = pytest.mark.django_db


def compensated():
    """{cause: how many}"""
    return {cause: telemetry.COMPENSATED.labels("fulfil_order", cause)._value.get() for cause in telemetry.CAUSES}


@pytest.fixture
def moved():
    """How many sagas ended compensated since the test began, by cause; those of which there were none are left out."""
    before = compensated()
    return lambda: {cause: now - before[cause] for cause, now in compensated().items() if now != before[cause]}


def test_a_participant_that_said_no(shop, moved):
    shop.provider.will("create", "refuse")
    assert outcome(shop.driven())[2] == "compensated"
    assert moved() == {"refused": 1}


def test_a_provider_that_could_not_be_had(shop, moved):
    """What a customer could have had on a better day: the share of technical rejections."""
    shop.provider.always("create", "unavailable")
    assert outcome(shop.driven()) == ("rejected", "shipping_unavailable", "compensated")
    assert moved() == {"spent": 1}


def test_a_customer_who_changed_his_mind(shop, moved):
    order = shop.up_to("create_shipment")
    request_cancel(order.pk)
    drive()
    assert outcome(order)[0] == "cancelled"
    assert moved() == {"cancelled": 1}


def test_a_person_on_call(shop, moved):
    order = shop.up_to("create_shipment")
    operations.compensate(saga_of(order).pk, who=None, reason="the warehouse burnt down")
    drive()
    assert outcome(order)[0] == "rejected"
    assert moved() == {"operator": 1}


def test_a_saga_that_completes_counts_none(shop, moved):
    assert outcome(shop.driven())[2] == "completed"
    assert moved() == {}


def test_what_alerts_watch_stands_at_zero_before_it_ever_happens():
    """A series that appears with its first count has not risen: the first failure would raise no alert."""
    known = {labels for metric in telemetry.COMPENSATION_FAILED.collect() for labels in _labels(metric)}
    steps = definition.latest("fulfil_order").steps
    assert {(step.name,) for step in steps if step.compensation} <= known
    causes = {labels for metric in telemetry.COMPENSATED.collect() for labels in _labels(metric)}
    assert {("fulfil_order", cause) for cause in telemetry.CAUSES} <= causes


def _labels(metric):
    return {tuple(sample.labels.values()) for sample in metric.samples if sample.name.endswith("_total")}
