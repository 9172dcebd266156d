"""P9: SQL round trips and bytes of WAL per order, from order to confirmed, at batch 50. Run with `--help`.

Stage by stage first, in one process, every batch full: which stage asks and writes what. Then all real processes, the
sandbox answering at once: orders are placed while the destination that begins their sagas is paused, it is resumed, and
everything is counted until the last customer's notice is sent, polls and heartbeats included.
"""

import argparse
import time
from typing import Any

import psycopg

from benchmarks import counts, program
from benchmarks.counts import Count, Span
from benchmarks.criterion import Limit, Rounds, judge
from benchmarks.load import Requests, send
from benchmarks.place import LEFT, START, Place, hold_back, let_go, place, settle, wait_for_rest
from benchmarks.report import Report

BATCH = 50
# A provider's webhook is one request for one charge, whatever the batch: it is a row of the table, no part of the sum.
BODY: dict[str, object] = {
    "currency": "EUR",
    "items": [{"sku": "WIDGET", "quantity": 1}, {"sku": "GADGET", "quantity": 2}],
    "payment_method": "tok_webhook_never",
}
DRAINING = ("relay", "worker", "remote-worker")
STAGES = {
    "start saga": START,
    "reserve": "fulfil_order.reserve_stock",
    "charge": "fulfil_order.charge_payment",
    "ship": "fulfil_order.create_shipment",
    "confirm": "fulfil_order.confirm_order",
    "notify": "notifications.order_confirmed",
}
WEBHOOK = "payments.reread"
WARM_UP_SECONDS = 3.0
AT_BATCH = {"OUTBOX_CLAIM_BATCH_SIZE": str(BATCH), "PROVIDER_CALL_SLOTS": str(BATCH), "EMAIL_URL": "dummymail://"}


def intake(connection: psycopg.Connection[Any], requests: Requests, orders: int) -> Span:
    """Places that many orders; nobody works on them."""
    began = counts.begin(connection)
    send(requests, count=orders)
    return counts.since(connection, began)


def drain(connection: psycopg.Connection[Any]) -> Span:
    """Lets the waiting orders go, and counts until nothing is left to do."""
    began = counts.begin(connection)
    let_go(connection)
    wait_for_rest(connection)
    return counts.since(connection, began)


def warm_up(here: Place, connection: psycopg.Connection[Any], requests: Requests) -> None:
    """What each process does once: connections, first ticks, first heartbeats."""
    here.stack.start(*DRAINING)
    here.stack.wait_until_ready(*DRAINING)
    send(requests, count=BATCH)
    wait_for_rest(connection)
    time.sleep(WARM_UP_SECONDS)


def stage_by_stage(connection: psycopg.Connection[Any]) -> dict[str, Span]:
    """Each stage in this process, batch after batch, until it has nothing due."""
    from outbox import consumer  # only now does the environment name the settings

    spans: dict[str, Span] = {}
    for stage, destination in STAGES.items():
        began = counts.begin(connection)
        while consumer.deliver(destination):
            pass
        spans[stage] = counts.since(connection, began)
    if (left := connection.execute(LEFT).fetchone()) != (0,):
        raise SystemExit(f"{left} orders and messages are left after every stage.")
    return spans


def webhooks(connection: psycopg.Connection[Any]) -> Span:
    """One webhook per charge, each a transaction of its own as each is a request, and what follows from it."""
    from outbox import consumer  # only now does the environment name the settings
    from payments import webhooks as hints
    from payments.models import Payment

    keys = list(Payment.objects.values_list("provider_key", flat=True))
    began = counts.begin(connection)
    for key in keys:
        hints.note(event_id=f"event-{key}", provider_key=key)
    while consumer.deliver(WEBHOOK):
        pass
    return counts.since(connection, began)


def measure(options: argparse.Namespace) -> Report:
    with place() as here, here.connect() as connection:
        here.environment |= AT_BATCH
        here.use_django()
        from local.seed import seed_demo  # only now does the environment name the database

        token = seed_demo(here.folder)["tokens"]["customer"]
        here.stack.start("web", "sandbox")
        here.stack.wait_until_ready("web", "sandbox")
        requests = Requests(port=here.stack.web_port, path="/orders", token=token, body=BODY, keyed=True)
        # The only checkpoint: one before each round would have each write every page that it touches as a whole.
        settle(connection)
        placed = intake(connection, requests, options.orders)
        stages = stage_by_stage(connection) | {"webhook": webhooks(connection)}
        warm_up(here, connection, requests)
        drained = []
        for _ in range(options.rounds):
            hold_back(connection)
            intake(connection, requests, options.orders)
            drained.append(drain(connection))
            print(f"  {line(drained[-1], options.orders)}", flush=True)
    return report(placed, drained, stages, options.orders)


def line(span: Span, orders: int) -> str:
    return (
        f"{span.whole.calls / orders:.2f} round trips, {span.wal_bytes / orders / 1000:.1f} kB of WAL an order, "
        f"{span.image_bytes / orders / 1000:.1f} kB of it full-page images"
    )


def report(placed: Span, drained: list[Span], stages: dict[str, Span], orders: int) -> Report:
    full = [span for stage, span in stages.items() if stage != "webhook"]
    others = {text for span in [placed, *drained, *stages.values()] for text in span.others}
    return Report(
        target="p9",
        title=f"Round trips and WAL of an order after intake, batches of {BATCH}",
        criteria=[
            judge(
                "round trips after intake",
                Rounds(unit="per order", ours=[span.whole.calls / orders for span in drained]),
                at_most=2,
                limit=Limit(what="every batch full, no polls", figure=sum(span.whole.calls for span in full) / orders),
            ),
            judge(
                "WAL after intake",
                Rounds(unit="kB per order", ours=[span.wal_bytes / orders / 1000 for span in drained]),
                at_most=24,
                limit=Limit(
                    what="every batch full, no full-page images",
                    figure=sum(span.wal_bytes - span.image_bytes for span in full) / orders / 1000,
                ),
            ),
        ],
        tables={
            "by_stage": [
                stage_row("intake (web)", placed, orders),
                *(stage_row(stage, span, orders) for stage, span in stages.items() if stage != "webhook"),
                stage_row("after intake, in all", sum(full, Span()), orders),
                stage_row("a provider's webhook, beside it", stages["webhook"], orders),
            ],
            "by_statement": list(counts.by_kind(drained[-1], orders)),
        },
        notes=[f"the last round: {line(drained[-1], orders)}"] + [f"not classified: {text}" for text in sorted(others)],
    )


def stage_row(stage: str, span: Span, orders: int) -> dict[str, Any]:
    images = round(span.image_bytes / orders / 1000, 2)
    whole = Count(calls=span.whole.calls, rows=span.whole.rows, wal_bytes=span.wal_bytes)
    return {"stage": stage, **whole.per_order(orders), "page_images_kb": images}


def main() -> None:
    parser = program.parser(__doc__, "p9", rounds=3)
    parser.add_argument("--orders", type=int, default=1_000, help="of one round")
    program.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
