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

LOCK_STOCK = "SELECT sku, on_hand - reserved FROM inventory_stockitem WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE"

# Index one_reservation_per_order_and_sku.
LOCK_STOCK_OF_ORDERS = """
SELECT sku FROM inventory_stockitem
WHERE sku IN (SELECT sku FROM inventory_reservation WHERE order_id = ANY(%s) AND state = 'reserved')
ORDER BY sku FOR UPDATE
"""

# I10: the guard here, the CHECK stock_is_never_oversold as the last line.
TAKE_STOCK = """
UPDATE inventory_stockitem AS stock SET reserved = stock.reserved + wanted.quantity
FROM unnest(%s::text[], %s::bigint[]) AS wanted(sku, quantity)
WHERE stock.sku = wanted.sku AND stock.reserved + wanted.quantity <= stock.on_hand
"""

GIVE_BACK_STOCK = """
UPDATE inventory_stockitem AS stock SET reserved = stock.reserved - ended.quantity
FROM unnest(%s::text[], %s::bigint[]) AS ended(sku, quantity) WHERE stock.sku = ended.sku
"""

SHIP_STOCK = """
UPDATE inventory_stockitem AS stock
SET reserved = stock.reserved - ended.quantity, on_hand = stock.on_hand - ended.quantity
FROM unnest(%s::text[], %s::bigint[]) AS ended(sku, quantity) WHERE stock.sku = ended.sku
"""

END_RESERVATIONS = """
UPDATE inventory_reservation SET state = %s, ended_at = statement_timestamp()
WHERE order_id = ANY(%s) AND state = 'reserved' RETURNING order_id, sku, quantity
"""


class StockLost(RuntimeError):
    """A guarded UPDATE missed a row that this transaction holds: the stock's own bookkeeping is broken."""


def reserve(requests: Mapping[UUID, Lines]) -> dict[UUID, str | None]:
    """Promises every line of every order, or none of that order's; answers None, or the reason why not, by order id."""
    if not requests:
        return {}
    with transaction.atomic(savepoint=False):
        free = _lock_stock(requests.values())
        # After the locks, so that a twin of this call has committed what it did, and is seen.
        answers = _answered_before(requests)
        fresh = {order_id: requests[order_id] for order_id in sorted(requests) if order_id not in answers}
        served = _serve(fresh, free)
        _write_reservations(served)
        _publish_answers(fresh, served)
    answers.update({order_id: None if order_id in served else OUT_OF_STOCK for order_id in fresh})
    return answers


def release(order_ids: Sequence[UUID]) -> None:
    """Gives back what these orders still have reserved. Released, committed and unknown ones are left as they are."""
    with transaction.atomic(savepoint=False):
        released = _end(order_ids, Reservation.State.RELEASED, GIVE_BACK_STOCK)
        publish_all([_publication(StockReleased(order_id=str(id_)), id_, sequence=2) for id_ in sorted(released)])


def commit(order_ids: Sequence[UUID]) -> None:
    """What these orders have reserved leaves the shelf. Released, committed and unknown ones are left as they are."""
    with transaction.atomic(savepoint=False):
        _end(order_ids, Reservation.State.COMMITTED, SHIP_STOCK)


def _lock_stock(all_lines: Iterable[Lines]) -> dict[str, int]:
    skus = sorted({sku for lines in all_lines for sku, _ in lines})
    return dict(_fetch(LOCK_STOCK, [skus]))


def _answered_before(requests: Mapping[UUID, Lines]) -> dict[UUID, str | None]:
    states = Reservation.objects.filter(order_id__in=list(requests)).values_list("order_id", "state")
    released = Reservation.State.RELEASED
    return {order_id: ALREADY_RELEASED if state == released else None for order_id, state in states}


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


def _write_reservations(served: Mapping[UUID, Counter[str]]) -> None:
    if not served:
        return
    _move_stock(TAKE_STOCK, sum(served.values(), Counter()))
    Reservation.objects.bulk_create(
        Reservation(order_id=order_id, sku=sku, quantity=wanted[sku])
        for order_id, wanted in served.items()
        for sku in sorted(wanted)
    )


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


def _end(order_ids: Sequence[UUID], state: Reservation.State, move: str) -> set[UUID]:
    """Ends the open reservations of these orders and moves their stock; answers whose were open."""
    ids = sorted(set(order_ids))
    _fetch(LOCK_STOCK_OF_ORDERS, [ids])
    ended = _fetch(END_RESERVATIONS, [state, ids])
    total: Counter[str] = Counter()
    for _, sku, quantity in ended:
        total[sku] += quantity
    _move_stock(move, total)
    return {order_id for order_id, _, _ in ended}


def _move_stock(sql: str, quantities: Mapping[str, int]) -> None:
    """One UPDATE for the whole batch; it must touch every product of it."""
    skus = sorted(quantities)
    if not skus:
        return
    with connection.cursor() as cursor:
        cursor.execute(sql, [skus, [quantities[sku] for sku in skus]])
        if cursor.rowcount != len(skus):
            raise StockLost(f"{len(skus) - cursor.rowcount} of {len(skus)} products could not be moved.")


def _fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
