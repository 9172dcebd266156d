"""F18: purge during all of it: nothing needed is removed."""

import random
import threading
from datetime import timedelta

import pytest

from idempotency import operations as idempotency
from idempotency.models import IdempotencyKey
from orders.models import Order
from outbox import heartbeat, operations
from outbox.models import InboxMessage, OutboxMessage
from sagas import lifecycle
from sagas.models import Saga
from tests.acceptance import books, crowd
from tests.support.drive import deliver_due, drive, time_passes
from tests.support.provider import limits
from tests.support.shop import outcome, stock
from tests.support.threads import in_thread

from .rest import come_to_rest

# Whatever has ended is old enough, even what ended in this very moment.
ANY_AGE = timedelta(seconds=-60)
NO_RETENTION = {"OUTBOX_RETENTION_DAYS": "0", "INBOX_RETENTION_DAYS": "1", "SAGA_RETENTION_DAYS": "0"}


def purge_everything():
    """Every purge there is, with no retention at all. Returns how many rows went."""
    heartbeat.forget_silent()
    return (
        operations.purge(older_than=ANY_AGE)
        + operations.purge_inbox(older_than=ANY_AGE)
        + lifecycle.purge(older_than=ANY_AGE)
        + idempotency.purge().keys
    )


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(4))
def test_f18_purges_between_any_two_acts_of_orders_in_trouble_remove_nothing_that_is_needed(shop, settings, seed):
    """F18, I14: what a retry, a probe, a compensation or a late duplicate needs is not "ended"."""
    limits(settings, IN_FLIGHT_HORIZON_SECONDS=0.0, BREAKER_FAILURES=1_000)
    luck = random.Random(seed)
    orders = [shop.order() for _ in range(5)]
    shop.provider.will("charge", *luck.sample(["ok", "cut", "lost", "unavailable", "refuse"], 5))
    shop.provider.will("create", *luck.sample(["ok", "cut", "lost", "unavailable", "refuse"], 5))
    shop.provider.will("refund", "cut", "unavailable")
    removed = 0

    for _ in range(30):
        deliver_due()
        removed += purge_everything()
        if luck.random() < 0.7:
            time_passes()
    drive()

    for order in orders:
        order.refresh_from_db()
    ends = [order.status for order in orders]
    assert removed > 20
    assert set(ends) <= {"confirmed", "rejected"}
    assert stock() == (10 - ends.count("confirmed"), 0)
    happened = shop.provider.happened
    assert len(happened("charge")) - len(happened("refund")) == ends.count("confirmed")
    assert len(happened("create")) == ends.count("confirmed")
    assert len({key for operation, key in shop.provider.calls if operation == "charge"}) == 5


@pytest.mark.django_db
def test_f18_what_needs_a_person_is_never_purged(shop):
    """F18, I4, I14: dead messages and sagas that need attention stay, however old."""
    shop.provider.will("create", "refuse")
    shop.provider.always("refund", "refuse")
    order = shop.driven()
    other = shop.order()
    OutboxMessage.objects.filter(state="open").update(state="dead")

    purge_everything()

    assert outcome(order) == ("pending", "", "needs_attention")
    assert Saga.objects.get().subject_id == order.pk
    assert OutboxMessage.objects.get().correlation_id == other.pk
    assert Order.objects.count() == 2


@pytest.mark.proof
def test_f18_all_purges_in_a_tight_loop_under_real_orders(service):
    """F18, I14: messages, inbox, sagas and keys go the moment that they have ended; every order ends as it must."""
    service.stack.environment.update(NO_RETENTION)
    service.start()
    ended, removed = threading.Event(), []

    def purge():
        while not ended.is_set():
            removed.append(purge_everything())
            ended.wait(0.02)

    purger = in_thread(purge)
    try:
        placed = crowd.place_all(service, 48)
        come_to_rest(service)
    finally:
        ended.set()
        purger.result(30)

    assert books.ends() == crowd.expected_ends(48)
    assert len(set(placed)) == 48
    # It was at it while orders were under way, and nothing that it took was missed.
    assert sum(1 for count in removed if count) > 10
    purge_everything()
    assert (Saga.objects.count(), OutboxMessage.objects.count(), InboxMessage.objects.count()) == (0, 0, 0)
    # A key is needed until it expires, whatever became of its order.
    assert IdempotencyKey.objects.count() == 48
    assert service.audit() == []
