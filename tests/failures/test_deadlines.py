"""I13: no call of an attempt begins, or is waited for, later than one total deadline after its intent is on record.

That is what the in-flight horizon stands on: "absent" is believed once the last intent is older than it.
"""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from providers import deadline
from tests.support.drive import deliver, drive, time_passes
from tests.support.provider import limits
from tests.support.shop import attempts, outcome, parcel, step, step_of, steps

pytestmark = pytest.mark.django_db
SHIP = step("create_shipment")


def unknown_parcel(shop):
    """An order whose first call for a parcel was lost on the way."""
    order = shop.up_to("create_shipment")
    shop.provider.will("create", "lost")
    deliver(SHIP)
    time_passes()
    assert steps(order)["create_shipment"] == ("unknown", "")
    return order


def test_i13_the_probe_and_the_call_after_it_share_the_deadline_of_their_intent(shop):
    """I13"""
    order = unknown_parcel(shop)
    ends = []
    for operation in ("find", "create"):
        shop.provider.before[operation] = lambda: ends.append(deadline._ends_at.get())

    deliver(SHIP)

    assert len(ends) == 2
    assert ends[0] == ends[1]
    end = datetime.fromtimestamp(time.time() - time.monotonic() + ends[0], UTC)
    assert end <= step_of(order, "create_shipment").called_at + timedelta(seconds=12)


def test_i13_a_probe_that_took_all_the_time_leaves_none_for_a_call(shop, settings):
    """I13: the call would outlive the horizon, after which nobody believes in it any more."""
    order = unknown_parcel(shop)
    limits(settings, TOTAL_DEADLINE_SECONDS=0.3)
    shop.provider.before["find"] = lambda: threading.Event().wait(deadline.remaining())

    deliver(SHIP)
    assert (shop.provider.asked("find"), shop.provider.asked("create")) == (1, 1)
    assert steps(order)["create_shipment"] == ("unknown", "")

    del shop.provider.before["find"]
    limits(settings, TOTAL_DEADLINE_SECONDS=12.0)
    drive()
    assert outcome(order) == ("confirmed", "", "completed")
    assert (parcel(order), len(shop.provider.happened("create"))) == ("created", 1)


def test_i13_a_process_that_was_frozen_after_its_intent_does_not_call_any_more(shop, settings):
    """I13: its time is over before its call begins; the next attempt asks."""
    order = shop.up_to("create_shipment")
    limits(settings, TOTAL_DEADLINE_SECONDS=0.0)

    deliver(SHIP)
    assert shop.provider.asked("create") == 0
    assert (steps(order)["create_shipment"], attempts(order)["create_shipment"]) == (("unknown", ""), 1)

    limits(settings, TOTAL_DEADLINE_SECONDS=12.0)
    drive()
    assert outcome(order) == ("confirmed", "", "completed")
    assert (shop.provider.asked("find"), shop.provider.asked("create")) == (1, 1)
