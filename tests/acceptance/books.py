"""What must hold when everything has come to rest: our rows, the provider's books and the carrier's say the same.

Reads the sandbox's own listings over HTTP and our tables with SQL of its own: it shares no code with the services.
"""

from collections.abc import Iterator
from typing import Any

import requests
from django.db import connection

SANDBOX_KEY = {"Authorization": "Bearer sandbox-key"}


def still_under_way() -> int:
    """Orders that have not ended."""
    return _one("SELECT count(*) FROM orders_order WHERE status = 'pending'")


def open_messages() -> int:
    return _one("SELECT count(*) FROM outbox_outboxmessage WHERE state = 'open'")


def ends() -> dict[str, int]:
    """How many orders ended how: "confirmed", "rejected: out_of_stock", …"""
    rows = _rows(
        "SELECT CASE WHEN status = 'rejected' THEN status || ': ' || reason ELSE status END, count(*)"
        " FROM orders_order GROUP BY 1"
    )
    return dict(rows)


def differences(sandbox_url: str) -> list[str]:
    """Every way in which the books disagree; empty when all is well."""
    return [
        *_stock_differences(),
        *_money_differences(sandbox_url),
        *_parcel_differences(sandbox_url),
        *_loose_ends(),
        *[f"the sandbox saw {v}" for v in _ask(sandbox_url, "/ledger/violations")["violations"]],
    ]


def _stock_differences() -> list[str]:
    """I10: at rest nothing is reserved, and what left the shelf is what confirmed orders contain."""
    rows = _rows("""
        SELECT stock.sku FROM inventory_stockitem stock WHERE stock.reserved <> 0
        UNION ALL
        SELECT r.sku FROM inventory_reservation r JOIN orders_order o ON o.id = r.order_id
        WHERE (o.status = 'confirmed') <> (r.state = 'committed') OR r.state = 'reserved'
        UNION ALL
        SELECT line.sku FROM orders_orderline line JOIN orders_order o ON o.id = line.order_id
        LEFT JOIN inventory_reservation r ON r.order_id = o.id AND r.sku = line.sku
        WHERE o.status = 'confirmed' AND r.quantity IS DISTINCT FROM line.quantity
    """)
    return [f"stock of {sku} is not conserved" for (sku,) in rows]


def _money_differences(sandbox_url: str) -> list[str]:
    """I3, I9: what the provider took and kept, per order, is the total of a confirmed order and nothing otherwise."""
    kept: dict[str, int] = {}
    charges: dict[str, int] = {}
    for charge in _listing(sandbox_url, "/payments/charges"):
        if charge["status"] == "captured":
            charges[charge["order_id"]] = charges.get(charge["order_id"], 0) + 1
            net = charge["amount_minor"] - charge["refunded_minor"]
            kept[charge["order_id"]] = kept.get(charge["order_id"], 0) + net
    found = []
    for order_id, status, total in _rows("SELECT id::text, status, total_minor FROM orders_order"):
        due = total if status == "confirmed" else 0
        if kept.get(order_id, 0) != due:
            found.append(f"order {order_id} is {status}: {kept.get(order_id, 0)} kept of {total}")
        if charges.get(order_id, 0) > 1:
            found.append(f"order {order_id} was charged {charges[order_id]} times")
    ours = _rows("SELECT order_id::text, captured_minor - refunded_minor FROM payments_payment")
    found += [f"our payment of {o} says {net}" for o, net in ours if kept.get(o, 0) != net]
    return found


def _parcel_differences(sandbox_url: str) -> list[str]:
    """One active shipment for a confirmed order and none otherwise."""
    active: dict[str, int] = {}
    for shipment in _listing(sandbox_url, "/shipping/shipments"):
        if shipment["status"] == "created":
            active[shipment["order_id"]] = active.get(shipment["order_id"], 0) + 1
    rows = _rows("SELECT id::text, status FROM orders_order")
    return [
        f"order {order_id} is {status} and has {active.get(order_id, 0)} active shipments"
        for order_id, status in rows
        if active.get(order_id, 0) != (status == "confirmed")
    ]


def _loose_ends() -> list[str]:
    rows = _rows("""
        SELECT 'order ' || o.id || ' ' || o.status || ' has a saga ' || coalesce(s.status, 'missing')
        FROM orders_order o LEFT JOIN sagas_saga s ON s.subject_id = o.id
        WHERE (o.status = 'confirmed') <> (s.status IS NOT DISTINCT FROM 'completed')
           OR s.status IN ('running', 'needs_attention')
        UNION ALL
        SELECT 'message ' || key || ' to ' || destination || ' is ' || state || ': ' || last_error
        FROM outbox_outboxmessage WHERE state IN ('open', 'dead')
        UNION ALL
        SELECT 'order ' || o.id || ' has no order.created.v1' FROM orders_order o WHERE NOT EXISTS (
            SELECT FROM outbox_outboxmessage m WHERE m.aggregate_id = o.id AND m.type = 'order.created.v1')
        UNION ALL
        SELECT 'payment ' || id || ' is ' || status FROM payments_payment WHERE status IN ('pending', 'unknown', 'late')
    """)
    return [text for (text,) in rows]


def _listing(sandbox_url: str, path: str) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        page = _ask(sandbox_url, f"{path}?limit=500&after={after}")
        yield from page["data"]
        if not page["has_more"]:
            return
        after = page["data"][-1]["id"]


def _ask(sandbox_url: str, path: str) -> Any:
    answer = requests.get(sandbox_url + path, headers=SANDBOX_KEY, timeout=10)
    answer.raise_for_status()
    return answer.json()


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def _one(sql: str) -> int:
    return int(_rows(sql)[0][0])
