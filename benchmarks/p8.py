"""P8: a hot SKU, which all orders want, against orders spread over a thousand. Run with `--help`.

The same processes and the same orders of one line; only which product they want differs. A round places its orders
while the destination that begins their sagas is paused, resumes it, and takes the time until the last one is confirmed.
Rounds alternate. Whoever wants the hot product waits for its row: that, and nothing else, is the difference.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import psycopg

from benchmarks import program
from benchmarks.criterion import Limit, Rounds, judge
from benchmarks.place import hold_back, let_go, place, settle
from benchmarks.report import Report

PRODUCTS = 1_000
HOT = ["HOT"]
SPREAD = [f"SPREAD-{number}" for number in range(PRODUCTS)]
STOCK = """
WITH product AS (
    INSERT INTO inventory_product (sku, name, active) SELECT sku, sku, true FROM unnest(%(skus)s::text[]) AS sku
    RETURNING id, sku
), price AS (
    INSERT INTO inventory_productprice (product_id, currency, unit_price_minor) SELECT id, 'EUR', 999 FROM product
)
INSERT INTO inventory_stockitem (sku, on_hand, reserved) SELECT sku, 1000000, 0 FROM product
"""
LEFT = "SELECT count(*) FROM orders_order WHERE status <> 'confirmed'"
WORKING = "SELECT count(*) FROM outbox_outboxmessage WHERE state <> 'done'"
# Transactions that wait for somebody else's row.
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
ROUND_MAX_SECONDS = 120
POLL_SECONDS = 0.02
WARM_UP = 100
PROCESSES = ("sandbox", "relay", "worker", "remote-worker")
SIDES = {"hot": HOT, "spread": SPREAD}


@dataclass(frozen=True, kw_only=True)
class Found:
    """One round; `waiting` is how many sessions waited for somebody else's row, on average."""

    per_second: float
    waiting: float


def place_orders(customer_id: int, skus: Sequence[str], count: int) -> None:
    """That many orders of one line, one product after the other; in one commit, for nobody measures this."""
    from django.db import transaction  # only now does the environment name the settings
    from uuid_utils.compat import uuid7

    from orders import services

    with transaction.atomic():
        for number in range(count):
            services.place_order(
                order_id=uuid7(),
                customer_id=customer_id,
                items=[services.ItemRequest(sku=skus[number % len(skus)], quantity=1)],
                currency="EUR",
                payment_method="tok_webhook_never",
            )


def one_round(connection: psycopg.Connection[Any], customer_id: int, skus: Sequence[str], count: int) -> Found:
    """Orders per second from the first saga's beginning to the last confirmation, and how many waited meanwhile."""
    hold_back(connection)
    place_orders(customer_id, skus, count)
    settle(connection)
    let_go(connection)
    began = time.monotonic()
    waiting: list[int] = []
    while _number(connection, LEFT):
        waiting.append(_number(connection, WAITING))
        _give_up_late(began, "orders")
        time.sleep(POLL_SECONDS)
    found = Found(per_second=count / (time.monotonic() - began), waiting=fmean(waiting))
    while _number(connection, WORKING):
        _give_up_late(began, "messages")
        time.sleep(POLL_SECONDS)
    return found


def measure(options: argparse.Namespace) -> Report:
    with place() as here, here.connect() as connection:
        here.environment |= {"EMAIL_URL": "dummymail://"}
        here.use_django()
        customer_id = prepare(connection)
        here.stack.start(*PROCESSES)
        here.stack.wait_until_ready(*PROCESSES)
        for skus in SIDES.values():
            one_round(connection, customer_id, skus, WARM_UP)
        rounds: dict[str, list[Found]] = {name: [] for name in SIDES}
        for _ in range(options.rounds):
            for name, skus in SIDES.items():
                found = one_round(connection, customer_id, skus, options.orders)
                rounds[name].append(found)
                print(f"  {name:6} {found.per_second:6,.0f} orders/s, {found.waiting:.2f} waiting", flush=True)
    return report(rounds["hot"], rounds["spread"])


def prepare(connection: psycopg.Connection[Any]) -> int:
    """The products, and somebody who orders them."""
    from django.contrib.auth import get_user_model  # only now does the environment name the settings

    connection.execute(STOCK, {"skus": [*HOT, *SPREAD]})
    return int(get_user_model().objects.create(username="bench", email="bench@example.com").pk)


def report(hot: list[Found], spread: list[Found]) -> Report:
    rates = [one.per_second for one in spread]
    return Report(
        target="p8",
        title="A hot product against a thousand",
        criteria=[
            judge(
                "all orders want one product : spread over 1,000",
                Rounds(unit="orders/s", ours=[one.per_second for one in hot], theirs=rates, peer="spread over 1,000"),
                at_least=0.7,
                limit=Limit(what="the best round without contention", figure=max(rates)),
            )
        ],
        notes=[
            f"sessions waiting for a lock, on average: {fmean(one.waiting for one in hot):.2f} with the hot product, "
            f"{fmean(one.waiting for one in spread):.2f} without"
        ],
    )


def _number(connection: psycopg.Connection[Any], sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _give_up_late(began: float, what: str) -> None:
    if time.monotonic() - began > ROUND_MAX_SECONDS:
        raise SystemExit(f"Some {what} are still open after {ROUND_MAX_SECONDS} s.")


def main() -> None:
    parser = program.parser(__doc__, "p8", rounds=5)
    parser.add_argument("--orders", type=int, default=1_000, help="of one round")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
