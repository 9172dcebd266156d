"""One locked row costs the messages that want it, never their destination."""

import threading

import pytest
from django.db import connection, transaction

from outbox.models import OutboxMessage
from sagas.models import Saga
from tests.inventory.builders import stocked
from tests.orders.builders import place
from tests.support.drive import deliver, drive, time_passes
from tests.support.shop import Shop, outcome, step
from tests.support.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)
RESERVE = step("reserve_stock")


@pytest.fixture
def hot_row_locked():
    """Somebody holds the stock of HOT until the test lets go."""
    stocked("HOT", 100)
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT FROM inventory_stockitem WHERE sku = 'HOT' FOR UPDATE")
            held.set()
            assert go_on.wait(30)

    holder = in_thread(hold)
    assert held.wait(5)

    def let_go():
        go_on.set()
        holder.result(10)

    yield let_go
    let_go()


def test_i4_a_row_that_stays_locked_holds_up_only_the_orders_that_want_it(shop: Shop, hot_row_locked):
    """I4: the others of its batch are done in their turn, it backs off itself and is done once the lock goes."""
    hot = place(shop.customer, ("HOT", 1))
    others = [shop.order() for _ in range(5)]
    deliver("orders.start_fulfilment")
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")

    for _ in range(7):
        deliver(RESERVE)

    stopped = OutboxMessage.objects.get(destination=RESERVE, state="open")
    assert set(Saga.objects.filter(current_step="reserve_stock").values_list("subject_id", flat=True)) == {hot.pk}
    assert 2 <= stopped.attempts <= 3
    assert "lock timeout" in stopped.last_error

    hot_row_locked()
    time_passes()
    drive()
    assert {outcome(order) for order in [hot, *others]} == {outcome(hot)}
    assert not OutboxMessage.objects.filter(state__in=["open", "dead"]).exists()
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
