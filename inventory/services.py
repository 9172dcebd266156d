"""Reserve, release and commit stock, for many orders at once. The only writer of stock and reservations but restock.

Guarantee: each product's row is locked in SKU order and updated once per batch, however many orders want it; orders
are served in id order, all or nothing each; never more than there is, never fewer than could be (I10). Repeating a
call changes nothing. Each function runs in its caller's transaction.
Not guaranteed: that a batch commits. That is the caller's, and until then its rows are locked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from outbox.publisher import Publication, publish_all

from .events import Item, StockRefused, StockReleased, StockReserved, reservation_id
from .models import Reservation

Lines = Sequence[tuple[str, int]]

OUT_OF_STOCK = "out_of_stock"
# What was given back is not taken again: a saga that turned never goes forward.
ALREADY_RELEASED = "already_released"

LOCK_STOCK = "SELECT sku, on_hand - reserved FROM inventory_stockitem WHERE sku = ANY(%(skus)s) ORDER BY sku FOR UPDATE"

# Answers what stood there before for any of these orders, and then writes nothing; else takes the stock, writes the
# reservations and answers how many products it took from. A snapshot of its own, younger than the locks on the stock:
# what a twin of this call has committed is seen. I10: the guard here, the CHECK stock_is_never_oversold as the last
# line. Index one_reservation_per_order_and_sku.
RESERVE = """
WITH known AS MATERIALIZED (
    SELECT order_id, state FROM inventory_reservation WHERE order_id = ANY(%(asked)s)
), new AS MATERIALIZED (
    SELECT * FROM unnest(%(order_ids)s::uuid[], %(skus)s::text[], %(quantities)s::int[])
      WITH ORDINALITY AS line(order_id, sku, quantity, place)
    WHERE NOT EXISTS (SELECT FROM known)
), taken AS (
    UPDATE inventory_stockitem AS stock SET reserved = stock.reserved + wanted.quantity
    FROM (SELECT sku, sum(quantity) AS quantity FROM new GROUP BY sku) AS wanted
    WHERE stock.sku = wanted.sku AND stock.reserved + wanted.quantity <= stock.on_hand
    RETURNING stock.sku
), written AS (
    INSERT INTO inventory_reservation (order_id, sku, quantity, state)
    SELECT order_id, sku, quantity, 'reserved' FROM new ORDER BY place
)
SELECT known.order_id, known.state, (SELECT count(*) FROM taken) FROM (SELECT) AS always LEFT JOIN known ON true
"""

# One statement: locks the products in SKU order first, then ends what is still open and moves it, each product once.
# What waited for a lock sees the newest row, so a twin that has ended these reservations leaves nothing to end.
# Index one_reservation_per_order_and_sku.
END_RESERVATIONS = """
WITH locked AS MATERIALIZED (
    SELECT sku FROM inventory_stockitem
    WHERE sku IN (SELECT sku FROM inventory_reservation WHERE order_id = ANY(%(order_ids)s) AND state = 'reserved')
    ORDER BY sku FOR UPDATE
), ended AS (
    UPDATE inventory_reservation SET state = %(state)s, ended_at = statement_timestamp()
    WHERE (SELECT count(*) FROM locked) >= 0 AND order_id = ANY(%(order_ids)s) AND state = 'reserved'
    RETURNING order_id, sku, quantity
), moved AS (
    UPDATE inventory_stockitem AS stock
    SET reserved = stock.reserved - total.quantity,
        on_hand = stock.on_hand - CASE WHEN %(leaves_the_shelf)s THEN total.quantity ELSE 0 END
    FROM (SELECT sku, sum(quantity) AS quantity FROM ended GROUP BY sku) AS total WHERE stock.sku = total.sku
    RETURNING stock.sku
)
SELECT order_id, sku, sku IN (SELECT sku FROM moved) FROM ended
"""


class StockLost(RuntimeError):
    """A guarded UPDATE missed a row that this transaction holds: the stock's own bookkeeping is broken."""


def reserve(requests: Mapping[UUID, Lines]) -> dict[UUID, str | None]:
    """Promises every line of every order, or none of that order's; answers None, or the reason why not, by order id.

    Two statements for any number; two more when some of these orders were answered before.
    """
    if not requests:
        return {}
    with transaction.atomic(savepoint=False):
        free = _lock_stock(requests.values())
        answers: dict[UUID, str | None] = {}
        while True:
            fresh = {order_id: requests[order_id] for order_id in sorted(requests) if order_id not in answers}
            served = _serve(fresh, free)
            known = _write_reservations(fresh, served)
            if not known:
                break
            answers.update(known)
        _publish_answers(fresh, served)
    answers.update({order_id: None if order_id in served else OUT_OF_STOCK for order_id in fresh})
    return answers


def release(order_ids: Sequence[UUID]) -> None:
    """Gives back what these orders still have reserved. Released, committed and unknown ones are left as they are."""
    with transaction.atomic(savepoint=False):
        released = _end(order_ids, Reservation.State.RELEASED)
        publish_all([_publication(StockReleased(order_id=str(id_)), id_, sequence=2) for id_ in sorted(released)])


def commit(order_ids: Sequence[UUID]) -> None:
    """What these orders have reserved leaves the shelf. Released, committed and unknown ones are left as they are."""
    with transaction.atomic(savepoint=False):
        _end(order_ids, Reservation.State.COMMITTED)


def _lock_stock(all_lines: Iterable[Lines]) -> dict[str, int]:
    skus = sorted({sku for lines in all_lines for sku, _ in lines})
    return dict(_fetch(LOCK_STOCK, {"skus": skus}))


def _serve(requests: Mapping[UUID, Lines], free: dict[str, int]) -> dict[UUID, Counter[str]]:
    """Who is served, in the order given, from what is free."""
    left = Counter(free)
    served: dict[UUID, Counter[str]] = {}
    for order_id, lines in requests.items():
        wanted: Counter[str] = Counter()
        for sku, quantity in lines:
            wanted[sku] += quantity
        if all(quantity <= left[sku] for sku, quantity in wanted.items()):
            left.subtract(wanted)
            served[order_id] = wanted
    return served


def _write_reservations(asked: Mapping[UUID, Lines], served: Mapping[UUID, Counter[str]]) -> dict[UUID, str | None]:
    """Takes the stock and writes the reservations; or, when some were answered before, nothing: then these answers."""
    if not asked:
        return {}
    lines = [(order_id, sku, wanted[sku]) for order_id, wanted in served.items() for sku in sorted(wanted)]
    rows = _fetch(
        RESERVE,
        {
            "asked": list(asked),
            "order_ids": [order_id for order_id, _, _ in lines],
            "skus": [sku for _, sku, _ in lines],
            "quantities": [quantity for _, _, quantity in lines],
        },
    )
    known = {order_id: state for order_id, state, _ in rows if order_id}
    if not known:
        _check_moved(rows[0][2], len({sku for _, sku, _ in lines}))
    released = Reservation.State.RELEASED
    return {order_id: ALREADY_RELEASED if state == released else None for order_id, state in known.items()}


def _publish_answers(requests: Mapping[UUID, Lines], served: Mapping[UUID, Counter[str]]) -> None:
    publications = []
    for order_id in requests:
        if order_id in served:
            wanted = served[order_id]
            items: list[Item] = [{"productId": sku, "qty": wanted[sku]} for sku in sorted(wanted)]
            publications.append(_publication(StockReserved(order_id=str(order_id), items=items), order_id, sequence=1))
        else:
            refused = StockRefused(order_id=str(order_id), reason=OUT_OF_STOCK)
            publications.append(_publication(refused, order_id, sequence=None))
    publish_all(publications)


def _publication(
    event: StockReserved | StockRefused | StockReleased, order_id: UUID, *, sequence: int | None
) -> Publication:
    return Publication(event=event, aggregate_id=reservation_id(order_id), sequence=sequence, correlation_id=order_id)


def _end(order_ids: Sequence[UUID], state: Reservation.State) -> set[UUID]:
    """Ends the open reservations of these orders and moves their stock; answers whose were open."""
    ended = _fetch(
        END_RESERVATIONS,
        {
            "order_ids": sorted(set(order_ids)),
            "state": state,
            "leaves_the_shelf": state == Reservation.State.COMMITTED,
        },
    )
    _check_moved(len({sku for _, sku, moved in ended if moved}), len({sku for _, sku, _ in ended}))
    return {order_id for order_id, _, _ in ended}


def _check_moved(moved: int, products: int) -> None:
    if moved != products:
        raise StockLost(f"{products - moved} of {products} products could not be moved.")


def _fetch(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
