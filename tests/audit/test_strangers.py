"""A provider's account that we share: what is somebody else's is counted, and never becomes rows of ours."""

from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import consumers, telemetry
from audit.books import book
from audit.comparison import Position, compare, compare_settled
from audit.models import Difference
from audit.models import Position as Kept
from payments.gateways.base import RefundIntent
from tests.audit.test_comparison import SETTLED, entry
from tests.support.drive import drive

pytestmark = pytest.mark.django_db


def tick():
    consumers.go_on()
    drive()


def counted(of):
    return telemetry.STRANGERS.labels(of)._value.get()


def charge_of_somebody(shop, **changes):
    [intent, *_] = [one for (of, _), one in shop.provider.intents.items() if of == "charge"]
    theirs = {"provider_key": f"shop-2/{uuid4()}", "order_id": uuid4()}
    shop.provider.charge(replace(intent, **theirs | changes))


def test_what_is_somebody_elses_is_counted_and_not_kept(shop, settings):
    settings.RECONCILIATION = {"SETTLED_SECONDS": 0.0}
    before = counted("charge")
    shop.driven()
    for _ in range(3):
        charge_of_somebody(shop)
    tick()
    tick()
    assert (counted("charge") - before, Difference.objects.count()) == (3, 0)
    assert Kept.objects.get(object="charge").theirs == f"charge-{shop.provider.happened('charge')[-1]}"
    assert list(compare(at_rest=True)) == []


@pytest.mark.parametrize("ours", ["key", "order"])
def test_what_has_a_key_of_our_shape_or_names_an_order_of_ours_is_a_difference(shop, ours):
    order = shop.driven()
    charge_of_somebody(
        shop, **{"key": {"provider_key": f"{uuid4()}:charge_payment"}, "order": {"order_id": order.pk}}[ours]
    )
    [one] = compare(at_rest=True)
    assert one.kind == "theirs_only"


@pytest.mark.parametrize("of_ours", [True, False], ids=["our charge", "another's"])
def test_a_refund_made_by_hand_is_ours_when_its_charge_is(shop, of_ours):
    order = shop.driven()
    [key] = shop.provider.happened("charge")
    shop.provider.refund(
        RefundIntent(
            refund_id=uuid4(),
            payment_id=uuid4(),
            order_id=order.pk,
            provider_key="dashboard",
            charge_reference=f"charge-{key}" if of_ours else "another",
            amount_minor=999,
            currency="EUR",
        )
    )
    found = [one.kind for one in compare(at_rest=True, books=[book("refund")])]
    assert found == (["theirs_only"] if of_ours else [])


def test_a_slice_full_of_them_costs_as_many_queries_as_one_and_one_that_is_young_holds_nothing():
    def queries(count):
        entries = [
            entry(key=f"other-{place}", reference=str(place), order_id=uuid4(), created_at=timezone.now())
            for place in range(count)
        ]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            found, goes_on = compare_settled(book("charge"), entries, since=Position(), is_last=False, settled=SETTLED)
        assert (found.strangers, found.differences, goes_on) == (count, [], True)
        return len(captured)

    assert queries(1) == queries(500)
