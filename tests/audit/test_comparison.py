"""The comparison: every way in which two books can differ has a name, and nothing under way is called a difference."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from audit import comparison
from audit.books import BOOKS, FIRST_ROW, Entry, Row, book
from audit.comparison import Position, compare, compare_settled, judge, kind_of
from payments.models import Payment
from providers.errors import Unavailable
from tests.support.drive import drive

LONG_AGO = datetime.now(tz=UTC) - timedelta(hours=1)
SETTLED = timedelta(seconds=30)


def entry(of="charge", status="", **changes) -> Entry:
    """Theirs: it happened, long ago."""
    fields: dict[str, Any] = {
        "key": "saga:step", "reference": "ref", "order_id": None, "parent": "", "status": status or happened(of),
        "amount_minor": 999 if of in {"charge", "refund"} else None, "undone_minor": 0 if of == "charge" else None,
        "currency": "EUR" if of in {"charge", "refund"} else "", "created_at": LONG_AGO,
    }  # fmt: skip
    return Entry(**fields | changes)


def row(of="charge", status="", **changes) -> Row:
    """Ours: the same, and quiet for long."""
    theirs = entry(of)
    fields: dict[str, Any] = {
        "id": uuid7(), "key": theirs.key, "reference": theirs.reference, "order_id": uuid4(), "parent": "",
        "status": status or happened(of), "amount_minor": theirs.amount_minor, "undone_minor": theirs.undone_minor,
        "currency": theirs.currency, "quiet_seconds": 3_600.0, "undo_noted": False, "unowned": False,
    }  # fmt: skip
    return Row(**fields | changes)


def happened(of: str) -> str:
    return {"charge": "captured", "refund": "refunded", "shipment": "created", "cancellation": "cancelled"}[of]


OBJECTS = [each.object for each in BOOKS]
DIFFERENT = {
    "they have no entry": ("charge", None, row(), "ours_only"),
    "we have no row": ("charge", entry(), None, "theirs_only"),
    "captured there, unknown here": ("charge", entry(), row(status="unknown"), "state"),
    "captured there, pending here": ("charge", entry(), row(status="pending"), "state"),
    "captured there, absent here": ("charge", entry(), row(status="absent"), "late_capture"),
    "captured there, declined here": ("charge", entry(), row(status="declined"), "late_capture"),
    "declined there, captured here": ("charge", entry(status="declined"), row(), "state"),
    "declined there, unknown here": ("charge", entry(status="declined"), row(status="unknown"), "state"),
    "a status nobody knows, captured here": ("charge", entry(status="disputed"), row(), "state"),
    "another amount": ("charge", entry(amount_minor=998), row(), "amount"),
    "another currency": ("charge", entry(currency="USD"), row(), "amount"),
    "another amount, unknown here": ("charge", entry(amount_minor=998), row(status="unknown"), "amount"),
    "given back behind our back": ("charge", entry(undone_minor=999), row(), "amount"),
    "given back in part": ("charge", entry(undone_minor=1), row(), "amount"),
    "not given back": ("charge", entry(), row(status="refunded", undone_minor=999), "amount"),
    "another reference": ("charge", entry(reference="other"), row(), "state"),
    "held for an order that ended without it": ("charge", entry(), row(unowned=True), "late_capture"),
    "refunded there, unknown here": ("refund", entry("refund"), row("refund", "unknown"), "state"),
    "refunded there, refused here": ("refund", entry("refund"), row("refund", "refused"), "state"),
    "another refund's charge": ("refund", entry("refund", parent="ch_2"), row("refund", parent="ch_1"), "state"),
    "a parcel there, absent here": ("shipment", entry("shipment"), row("shipment", "absent"), "late_parcel"),
    "a parcel there, refused here": ("shipment", entry("shipment"), row("shipment", "refused"), "late_parcel"),
    "cancelled behind our back": ("shipment", entry("shipment", "cancelled"), row("shipment"), "state"),
    "not cancelled": ("shipment", entry("shipment"), row("shipment", "cancelled"), "state"),
    "cancelled there, pending here": ("cancellation", entry("cancellation"), row("cancellation", "pending"), "state"),
}
ALIKE = {
    "declined in both": ("charge", entry(status="declined"), row(status="declined")),
    "declined there, absent here": ("charge", entry(status="declined"), row(status="absent")),
    "declined there, and no row": ("charge", entry(status="declined"), None),
    "asked here, not arrived there": ("charge", None, row(status="pending")),
    "unknown here, not there": ("charge", None, row(status="unknown")),
    "absent in both": ("charge", None, row(status="absent")),
    "late, and its saga is at work": ("charge", entry(), row(status="late")),
    "refunded in both": ("charge", entry(undone_minor=999), row(status="refunded", undone_minor=999)),
    "its refund has a book of its own": ("charge", entry(undone_minor=999), row(undo_noted=True)),
    "cancelled in both": ("shipment", entry("shipment", "cancelled"), row("shipment", "cancelled")),
    "its cancellation has a book of its own": (
        "shipment", entry("shipment", "cancelled"), row("shipment", undo_noted=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("of", "theirs", "ours", "kind"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_every_way_to_differ_has_its_name(of, theirs, ours, kind):
    assert kind_of(book(of), theirs, ours) == kind


@pytest.mark.parametrize(("of", "theirs", "ours"), ALIKE.values(), ids=ALIKE.keys())
def test_what_says_the_same_is_no_difference(of, theirs, ours):
    assert kind_of(book(of), theirs, ours) is None


@pytest.mark.parametrize("of", OBJECTS)
def test_what_happened_in_both_is_no_difference(of):
    assert kind_of(book(of), entry(of), row(of)) is None


@pytest.mark.parametrize(("of", "theirs", "ours", "kind"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_moved_a_moment_ago_is_under_way_and_not_judged(of, theirs, ours, kind):
    def judged(theirs, ours):
        return judge(book(of), "saga:step", theirs, ours, settled=SETTLED)

    assert judged(theirs, ours).difference.kind == kind
    if ours is not None:
        assert judged(theirs, replace(ours, quiet_seconds=29.0)).under_way
    if theirs is not None:
        assert judged(replace(theirs, created_at=datetime.now(tz=UTC)), ours).under_way


def test_a_provider_whose_clock_is_an_hour_ahead_is_judged_all_the_same():
    """Its clock may only make us wait, and not for ever."""
    ahead = replace(entry(), created_at=datetime.now(tz=UTC) + timedelta(hours=1))
    assert judge(book("charge"), "saga:step", ahead, None, settled=SETTLED).difference.kind == "theirs_only"


def test_a_provider_whose_clock_is_behind_makes_us_judge_by_our_row_alone():
    """Our row must have been quiet all the same; an orphan is left alone by our own clock."""
    theirs, asked = entry(created_at=datetime.now(tz=UTC) - timedelta(minutes=5)), row(status="unknown")
    assert judge(book("charge"), "saga:step", theirs, replace(asked, quiet_seconds=29.0), settled=SETTLED).under_way
    assert judge(book("charge"), "saga:step", theirs, asked, settled=SETTLED).difference.kind == "state"


@pytest.fixture(autouse=True)
def small(monkeypatch, settings):
    monkeypatch.setattr(comparison, "SLICE_ENTRIES", 2)
    monkeypatch.setattr(comparison, "ROWS_MAX", 3)
    settings.RECONCILIATION = {"SETTLED_SECONDS": 0.0}


def found(**options):
    return sorted((one.object, one.kind.value) for one in compare(at_rest=True, **options))


def lose(shop, operation, place=0):
    """The provider forgets one of its entries; returns the key."""
    key = shop.provider.happened(operation)[place]
    del shop.provider.ledger[operation, key]
    return key


@pytest.mark.django_db
class TestBooks:
    def test_books_of_orders_that_ended_agree(self, shop):
        for _ in range(5):
            shop.order()
        shop.provider.will("create", "refuse", "refuse")
        drive()
        assert found() == []

    @pytest.mark.parametrize("place", range(5))
    def test_one_that_they_lost_is_found_wherever_it_stood(self, shop, place):
        """Across slices, in the first and in the last one; and no other."""
        for _ in range(5):
            shop.driven()
        key = lose(shop, "charge", place)
        [one] = compare(at_rest=True)
        assert (one.object, one.kind, one.provider_key) == ("charge", "ours_only", key)
        assert (one.ours.status, one.theirs) == ("captured", None)

    def test_all_that_they_lost_are_found_though_there_are_more_than_one_look(self, shop):
        for _ in range(7):
            shop.driven()
        shop.provider.ledger.clear()
        assert found() == [("charge", "ours_only")] * 7 + [("shipment", "ours_only")] * 7

    @pytest.mark.parametrize("of", ["charge", "create"])
    def test_one_that_we_lost_is_found(self, shop, of):
        shop.driven()
        shop.driven()
        intent = next(iter(shop.provider.intents.values()))
        stranger = replace(intent, provider_key=f"{uuid4()}:charge_payment")
        shop.provider.charge(stranger)
        assert found() == [("charge", "theirs_only")]

    def test_what_we_noted_first_and_they_did_last_is_matched_across_slices(self, shop):
        """Ours stand in the order in which they were noted, theirs in the order in which they were done."""
        for _ in range(6):
            shop.driven()
        shop.provider.ledger = dict(reversed(shop.provider.ledger.items()))
        assert found() == []

    def test_a_book_that_cannot_be_read_is_an_error_and_no_difference(self, shop):
        shop.driven()
        shop.provider.always("list_charge", "unavailable")
        with pytest.raises(Unavailable):
            list(compare(at_rest=True))

    def test_an_answer_about_a_key_is_judged_before_the_next_hundred_are_asked_about(self, shop, monkeypatch):
        monkeypatch.setattr(comparison, "KEYS_AT_ONCE", 2)
        for _ in range(5):
            shop.driven()
        keys = [lose(shop, "charge") for _ in range(5)]
        shop.provider.calls.clear()
        judged = comparison.ask(book("charge"), keys, settled=timedelta(0))
        asked = [(len(next(judged)), len(shop.provider.calls)) for _ in range(3)]
        assert asked == [(2, 2), (2, 4), (1, 5)]

    def test_what_is_young_is_left_to_the_next_comparison(self, shop, settings):
        shop.driven()
        lose(shop, "charge")
        settings.RECONCILIATION = {"SETTLED_SECONDS": 60.0}
        assert list(compare()) == []
        assert found() == [("charge", "ours_only")]


@pytest.mark.django_db
class TestRunning:
    """The comparison that goes on from where the last one came to."""

    def settled(self, shop, since):
        entries = list(book("charge").entries(after=since.theirs))
        return compare_settled(book("charge"), entries, since=since, is_last=True, settled=SETTLED)

    def test_it_holds_before_the_first_that_is_under_way_and_finds_it_later(self, shop):
        orders = [shop.driven() for _ in range(3)]
        Payment.objects.update(updated_at=LONG_AGO)
        waiting = Payment.objects.filter(order_id=orders[1].pk)
        waiting.update(status="unknown", captured_minor=0)
        shop.provider.created_at = datetime.now(tz=UTC)

        before, goes_on = self.settled(shop, Position())
        assert (before.differences, goes_on) == ([], False)
        assert (
            before.position.theirs
            == shop.provider.ledger["charge", shop.provider.happened("charge")[0]].provider_reference
        )

        shop.provider.created_at = LONG_AGO
        after, goes_on = self.settled(shop, before.position)
        assert ([one.kind for one in after.differences], goes_on) == (["state"], True)

    def test_a_second_look_reads_nothing_twice(self, shop):
        shop.driven()
        Payment.objects.update(updated_at=LONG_AGO)
        first, _ = self.settled(shop, Position())
        assert first.position.ours != FIRST_ROW
        again, _ = self.settled(shop, first.position)
        assert (again.judgements, again.missed, again.position) == ([], [], first.position)
