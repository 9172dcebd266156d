"""What was under way when the comparison came by is not forgotten: looked at again until it is found or settled."""

from datetime import UTC, datetime, timedelta

import pytest

from audit import comparison, consumers
from audit.books import book
from audit.comparison import Position, compare, compare_slice
from audit.models import Difference
from audit.models import Position as Kept
from payments.models import Payment
from tests.support.drive import drive

pytestmark = pytest.mark.django_db
SETTLED = timedelta(seconds=30)
LONG_AGO = datetime.now(tz=UTC) - timedelta(hours=1)


def charges(shop, count):
    """So many payments, oldest first, that happened here and that the provider has lost."""
    for _ in range(count):
        shop.driven()
    shop.provider.ledger = {key: one for key, one in shop.provider.ledger.items() if key[0] != "charge"}
    return list(Payment.objects.order_by("pk"))


def quiet(*payments, **changes):
    Payment.objects.filter(pk__in=[one.pk for one in payments]).update(updated_at=LONG_AGO, **changes)


def look(since, entries=()):
    return compare_slice(book("charge"), entries, since=since, is_last=True, settled=SETTLED)


NOT_YET = {
    "moved a moment ago": {},
    "unknown": {"status": "unknown", "captured_minor": 0, "updated_at": LONG_AGO},
    "not asked for yet": {"status": "pending", "captured_minor": 0, "updated_at": LONG_AGO},
}


@pytest.mark.parametrize("changes", NOT_YET.values(), ids=NOT_YET)
def test_one_that_could_not_be_asked_about_is_asked_about_once_it_can_be(shop, changes):
    first, second = charges(shop, 2)
    quiet(second)
    if changes:
        Payment.objects.filter(pk=first.pk).update(**changes)

    one = look(Position())
    two = look(one.position)
    assert (one.missed, two.missed) == ([second.provider_key], [])
    assert (one.position.ours, one.position.awaited) == (second.pk, [first.pk])

    quiet(first, status="captured", captured_minor=first.amount_minor)
    three = look(two.position)
    assert (three.missed, three.position.awaited) == ([first.provider_key], [])
    assert look(three.position).missed == []


def test_one_that_is_settled_otherwise_is_awaited_no_more(shop):
    first, second = charges(shop, 2)
    quiet(second)
    one = look(Position())
    quiet(first, status="absent", captured_minor=0, provider_reference="")
    two = look(one.position)
    assert (two.missed, two.position.awaited) == ([], [])


def test_one_that_their_listing_brings_after_all_is_not_asked_about(shop):
    for _ in range(2):
        shop.driven()
    first, second = Payment.objects.order_by("pk")
    quiet(second)
    entries = {entry.key: entry for entry in book("charge").entries()}
    one = look(Position(), [entries[second.provider_key]])
    assert one.position.awaited == [first.pk]
    two = look(one.position, [entries[first.provider_key]])
    assert (two.missed, two.position.awaited) == ([], [])


def test_the_youngest_are_left_to_the_next_slice(shop):
    """Rows with earlier ids may not be committed yet."""
    first, _ = charges(shop, 2)
    quiet(first)
    one = look(Position())
    assert (one.position.ours, one.position.awaited) == (first.pk, [])


def test_with_too_many_awaited_what_came_later_waits_and_is_not_lost(shop, monkeypatch):
    monkeypatch.setattr(comparison, "AWAITED_MAX", 1)
    first, second, third = charges(shop, 3)
    quiet(first, second, status="unknown", captured_minor=0)
    quiet(third)
    one = look(Position())
    assert (one.missed, one.position.ours, one.position.awaited) == ([], first.pk, [first.pk])
    assert look(one.position).position == one.position

    quiet(first, status="absent", provider_reference="")
    two = look(one.position)
    assert (two.missed, two.position.ours, two.position.awaited) == ([third.provider_key], third.pk, [second.pk])


def test_the_whole_comparison_comes_to_its_end_however_many_are_unknown(shop, monkeypatch):
    monkeypatch.setattr(comparison, "AWAITED_MAX", 1)
    *unknown, last = charges(shop, 4)
    quiet(*unknown, status="unknown", captured_minor=0)
    quiet(last)
    assert [one.provider_key for one in compare(books=[book("charge")])] == [last.provider_key]


def test_the_tick_finds_what_was_unknown_when_it_came_by(shop, settings, monkeypatch):
    settings.RECONCILIATION = {"SETTLED_SECONDS": 30.0}
    first, second = charges(shop, 2)
    quiet(first, status="unknown", captured_minor=0)
    quiet(second)
    for _ in range(2):
        consumers.go_on()
        drive()
    assert list(Difference.objects.values_list("provider_key", flat=True)) == [second.provider_key]
    assert Kept.objects.get(object="charge").awaited == [str(first.pk)]

    quiet(first, status="captured", captured_minor=first.amount_minor)
    consumers.go_on()
    drive()
    assert set(Difference.objects.values_list("provider_key", flat=True)) == {first.provider_key, second.provider_key}
    assert Kept.objects.get(object="charge").awaited == []


def test_too_many_awaited_ask_for_nothing_without_end(shop, settings, monkeypatch):
    settings.RECONCILIATION = {"SETTLED_SECONDS": 30.0}
    monkeypatch.setattr(comparison, "AWAITED_MAX", 1)
    quiet(*charges(shop, 3), status="unknown", captured_minor=0)
    consumers.go_on()
    drive()
    assert len([key for call, key in shop.provider.calls if call == "list_charge"]) <= 3
