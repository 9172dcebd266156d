"""Everything that the service reads or changes in its big tables beside the way of one order."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

from django.contrib.auth.models import User
from django.core.management import call_command
from rest_framework.test import APIClient

from benchmarks import plan
from orders import live as orders_live
from orders import timeline
from orders.models import Order
from outbox import (
    bell,
    dead_letters,
    health,
    operations,
    read_only_admin,
    requeue_orders,
    selectors,
    telemetry,
)
from outbox import live as outbox_live
from outbox.dump import Dump, Wanted
from outbox.models import OutboxMessage, RequeueOrder
from outbox.relay import _claim
from outbox.routing import Outside
from sagas import lifecycle, recovery
from sagas import live as sagas_live
from sagas import selectors as sagas
from sagas import telemetry as sagas_telemetry
from tests.support import staff

from . import admin_pages, grown

Read = Callable[[], object]


STAFF_API = [
    *(
        f"/outbox-messages?{query}"
        for query in (
            "",
            *(f"state={state}" for state in OutboxMessage.State.values),
            "stuck=true",
            f"destination={grown.DESTINATION}",
            "type=rare.told.v1",
            "message_id=0197c2a4-0000-7000-8000-000000000000",
            "aggregate_id=0197c2a4-0000-7000-8000-000000000000",
        )
    ),
    *(f"/inbox-messages?{query}" for query in ("", "consumer=rare.consumer", f"message_id={'0' * 32}")),
    *(
        f"/sagas?{query}"
        for query in (
            "",
            *(f"status={status}" for status in ("running", "needs_attention", "completed", "compensated")),
            "direction=backward",
            "stuck=true",
            "name=fulfil_order",
            "subject_id=0197c2a4-0000-7000-8000-000000000000",
        )
    ),
]


def _order(**choice: str) -> RequeueOrder:
    return RequeueOrder(ordered_at=datetime.now(UTC), **choice)


DESTINATION = Outside(name=grown.DESTINATION, backend="", patterns=())


def page_of_a_customer() -> object:
    client = APIClient()
    client.force_authenticate(User.objects.get(username="customer-7"))
    return client.get("/orders")


def timeline_of_an_order() -> object:
    order = Order.objects.order_by("-pk").first()
    assert order is not None
    return timeline.read(order)


ENGINE: dict[str, Read] = {
    "a claim": lambda: _claim(DESTINATION),
    "the bell": bell.ring_all,
    "parking": operations.park,
    "burying what is spent": operations.bury_spent,
    "marking what older code buried": dead_letters.mark_unmarked,
    "a requeue order's batch": lambda: requeue_orders._next_keys(_order(), 200),
    "a requeue order's batch of one destination": lambda: requeue_orders._next_keys(_order(destination="x"), 200),
    "requeue orders at work": requeue_orders.work,
    "what became of a requeue order": lambda: requeue_orders.outcome(_order()),
    "a purge's batch": lambda: operations.purge(batches=1),
    "a purge that finds nothing": lambda: operations.purge(older_than=timedelta(days=60)),
    "a purge of the inbox that finds nothing": lambda: operations.purge_inbox(older_than=timedelta(days=60)),
    "a purge of the sagas that finds nothing": lambda: lifecycle.purge(older_than=timedelta(days=60)),
    "the sweep of sagas without a message": recovery.sweep,
    "the sweep of overdue sagas": recovery.attend_overdue,
    "outbox_status": lambda: call_command("outbox_status", stdout=StringIO()),
    "a dump of the dead": lambda: list(Dump(Wanted(states=["dead"])).messages()),
    "a dump of the skipped": lambda: list(Dump(Wanted(states=["skipped"])).messages()),
    "a dump's first of a type": lambda: next(Dump(Wanted(types=["grown.told.v1"])).messages(), None),
    "health": health.measure,
    "health in detail": health.details,
    "the outbox's metrics": lambda: list(telemetry.collect()),
    "the sagas' metrics": lambda: list(sagas_telemetry.collect()),
    "sagas check": sagas.unknown_to_this_code,
    "a customer's orders": page_of_a_customer,
    "the live page: orders": orders_live.pace,
    "the live page: what waits": outbox_live.waiting,
    "the live page: failures": outbox_live.failures,
    "the live page: sagas": sagas_live.standing,
    "an order's timeline": timeline_of_an_order,
}


ALL = [*admin_pages.ALL, *STAFF_API, *ENGINE]
QUICK = [
    *admin_pages.QUICK,
    "a claim",
    "a requeue order's batch",
    "the bell",
    "outbox_status",
    "a dump of the skipped",
    "a dump's first of a type",
    "health",
    "health in detail",
    "the outbox's metrics",
    "the sagas' metrics",
    "the live page: orders",
    "the live page: what waits",
    "the live page: failures",
    "the live page: sagas",
    "an order's timeline",
]


def act_of(name: str) -> Read:
    """What makes the statements of this read."""
    if name in ENGINE:
        return ENGINE[name]
    if name.startswith("/admin/"):
        client = staff.signed_in(
            User.objects.filter(is_superuser=True).first() or User.objects.create_superuser("root")
        )
    else:
        client = staff.api(is_staff=True)

    address = admin_pages.address_of(name)

    def show() -> None:
        assert client.get(address).status_code == 200

    return show


def assert_bounded(name: str) -> None:
    """No statement of this read looks at a big table as a whole, nor at more rows than a list may.

    A list whose filter has no index finds the oldest row that it may look at, looks at those since, and counts.
    """
    rows_max = 2 * selectors.UNINDEXED_ROWS_MAX + read_only_admin.COUNTED_ROWS_MAX
    statements = {sql: params for sql, params in plan.caught(act_of(name)) if any(name in sql for name in grown.NAMES)}
    assert statements or admin_pages.is_small(name), f"{name} read nothing"
    for sql, params in statements.items():
        found = plan.explain(sql, params)
        told = "\n".join([name, sql[:3_000], *found.lines()])
        assert found.rows_read(grown.BIG) <= rows_max, told
        assert not any(found.whole_scans(table) for table in grown.BIG), told
