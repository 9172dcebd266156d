"""A comparison that stands still is told, and nothing makes it stand still that it could do without."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from audit import consumers
from audit.books import NO_KEY, book
from audit.models import Difference, Position
from audit.telemetry import collect
from outbox.models import OutboxMessage
from payments.models import Payment
from providers.errors import OutcomeUnknown
from tests.support.drive import deliver, drive

pytestmark = pytest.mark.django_db
PAYMENTS = "audit.reconcile_payments"


@pytest.fixture(autouse=True)
def nothing_is_too_young(settings):
    settings.RECONCILIATION = {"SETTLED_SECONDS": 0.0}


def tick():
    consumers.go_on()
    drive()


def an_hour_passes():
    Position.objects.update(moved_at=timezone.now() - timedelta(hours=1))


def lags():
    [metric] = [metric for metric in collect() if metric.name == "reconciliation_lag_seconds"]
    return {sample.labels["object"]: sample.value for sample in metric.samples}


def standing_still():
    return {of for of, seconds in lags().items() if seconds > 3_000}


class TestLag:
    def test_one_entry_that_cannot_be_read_is_told_by_the_metric(self, shop):
        """Nothing is dead and nothing differs: without the metric nobody would know."""
        shop.driven()

        def unreadable():
            raise OutcomeUnknown("created_ms is not a point in time")

        shop.provider.before["list_charge"] = unreadable
        consumers.go_on()
        an_hour_passes()
        deliver(PAYMENTS, "audit.reconcile_shipping")
        assert (standing_still(), Difference.objects.count()) == ({"charge"}, 0)
        waiting = OutboxMessage.objects.get(destination=PAYMENTS, state="open")
        assert "created_ms" in waiting.last_error

    def test_the_first_tick_already_says_it_of_every_book(self, shop):
        consumers.go_on()
        an_hour_passes()
        assert standing_still() == {"charge", "refund", "shipment", "cancellation"}

    def test_one_that_finds_nothing_new_does_not_stand_still(self, shop):
        shop.driven()
        tick()
        an_hour_passes()
        tick()
        assert standing_still() == set()

    def test_one_that_is_held_by_what_is_under_way_stands_still(self, shop, settings):
        shop.driven()
        tick()
        first = Position.objects.get(object="charge").theirs
        shop.driven()
        settings.RECONCILIATION = {"SETTLED_SECONDS": 60.0}
        Payment.objects.update(status="absent", captured_minor=0, provider_reference="", updated_at=timezone.now())
        an_hour_passes()
        consumers.go_on()
        deliver(PAYMENTS)
        assert Position.objects.get(object="charge").theirs == first
        assert "charge" in standing_still()


class TestSlowListing:
    """The time of an attempt ends in the middle of a slice."""

    def cut_off_after(self, monkeypatch, entries):
        charges = book("charge")
        whole = charges.listed

        def listed(after, key):
            for place, entry in enumerate(whole(after, key)):
                if place == entries:
                    raise OutcomeUnknown("no time left to ask")
                yield entry

        cut = replace(charges, listed=listed)
        monkeypatch.setattr(consumers, "book", lambda of: cut if of == "charge" else book(of))

    def test_what_was_read_before_is_kept_until_all_is_read(self, shop, monkeypatch):
        for _ in range(5):
            shop.driven()
        self.cut_off_after(monkeypatch, 2)
        consumers.go_on()
        drive()
        assert Position.objects.get(object="charge").theirs == f"charge-{shop.provider.happened('charge')[-1]}"
        assert not OutboxMessage.objects.filter(destination=PAYMENTS, state="open").exists()
        assert not Difference.objects.exists()

    def test_where_nothing_could_be_read_it_is_asked_again_later(self, shop, monkeypatch):
        shop.driven()
        self.cut_off_after(monkeypatch, 0)
        consumers.go_on()
        deliver(PAYMENTS)
        assert Position.objects.get(object="charge").theirs == ""
        assert OutboxMessage.objects.get(destination=PAYMENTS, state="open").attempts == 0


def test_entries_without_a_key_that_name_an_order_of_ours_are_a_difference_each(shop):
    order = shop.driven()
    [receipt] = [one for (of, _), one in shop.provider.intents.items() if of == "charge"]
    for number in range(2):
        shop.provider.charge(replace(receipt, provider_key=f"made-by-hand-{number}"))
    keyless(shop)
    for _ in range(3):
        tick()
    found = Difference.objects.order_by("provider_key")
    assert [(one.kind, one.state, one.order_id) for one in found] == [("theirs_only", "open", order.pk)] * 2
    assert [one.provider_key.startswith(NO_KEY) for one in found] == [True, True]
    assert not [key for call, key in shop.provider.calls if call == "list_charge" and key]


def keyless(shop):
    """Their book has no keys for what was made by hand."""
    whole = shop.provider.charges

    def charges(*, after="", key=""):
        for one in whole(after=after, key=key):
            yield replace(one, provider_key="") if one.provider_key.startswith("made-by-hand") else one

    shop.provider.charges = charges
