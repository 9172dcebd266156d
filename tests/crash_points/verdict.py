"""What must hold of the orders that lived through a crash, read from every book with SQL of its own.

Shares no code with the services. What it returns are differences: sentences, none when all is well.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import requests
from django.db import connection

from audit.report import audit_now
from tests.support import ledger_file

from .customers import Placed
from .stage import Stage

SANDBOX_KEY = {"Authorization": "Bearer sandbox-key"}

UNFINISHED = """
SELECT (SELECT count(*) FROM orders_order WHERE id = ANY(%(ids)s::uuid[]) AND status = 'pending')
     + (SELECT count(*) FROM outbox_outboxmessage WHERE correlation_id = ANY(%(ids)s::uuid[]) AND state = 'open')
"""
WHAT_IS_LEFT = """
SELECT 'order is ' || status || ' ' || reason FROM orders_order WHERE id = ANY(%(ids)s::uuid[]) AND status = 'pending'
UNION ALL
SELECT 'saga is ' || status || ' at ' || current_step || ' ' || direction || ': ' || last_error
FROM sagas_saga WHERE subject_id = ANY(%(ids)s::uuid[]) AND status NOT IN ('completed', 'compensated')
UNION ALL
SELECT 'message to ' || destination || ' is ' || state || ', due in ' || extract(epoch FROM due_at - now()) ||
       ' s, attempt ' || attempts || ': ' || last_error
FROM outbox_outboxmessage WHERE correlation_id = ANY(%(ids)s::uuid[]) AND state IN ('open', 'dead')
"""
ORDERS = """
SELECT o.id::text, CASE WHEN o.reason = '' THEN o.status ELSE o.status || ': ' || o.reason END, o.total_minor,
       (SELECT string_agg(s.status, ',') FROM sagas_saga s WHERE s.subject_id = o.id),
       (SELECT count(*) FROM outbox_outboxmessage m WHERE m.aggregate_id = o.id AND m.type = 'order.created.v1'
           AND m.destination = 'orders.start_fulfilment'),
       (SELECT array_agg(n.kind || ' ' || n.status ORDER BY n.kind) FROM notifications_notification n
           WHERE n.order_id = o.id),
       (SELECT array_agg(r.state) FROM inventory_reservation r WHERE r.order_id = o.id)
FROM orders_order o WHERE o.id = ANY(%(ids)s::uuid[])
"""
LOOSE_ENDS = """
SELECT 'message to ' || destination || ' is ' || state || ': ' || last_error
FROM outbox_outboxmessage WHERE correlation_id = ANY(%(ids)s::uuid[]) AND state IN ('open', 'dead')
UNION ALL
SELECT 'payment is ' || status FROM payments_payment
WHERE order_id = ANY(%(ids)s::uuid[]) AND status IN ('pending', 'unknown', 'late')
UNION ALL
SELECT count(*) || ' live payments' FROM payments_payment WHERE order_id = ANY(%(ids)s::uuid[])
GROUP BY order_id HAVING count(*) > 1
"""
KEYS = "SELECT resource_id FROM idempotency_idempotencykey WHERE key = ANY(%(keys)s) AND path = '/orders'"
SINCE = "SELECT count(*) FROM orders_order WHERE placed_at >= %(since)s"
OUTSIDE = """
SELECT message_id::text, aggregate_id::text FROM outbox_outboxmessage
WHERE destination = 'ledger' AND correlation_id = ANY(%(ids)s::uuid[]) AND state = 'done' ORDER BY id
"""


def rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def is_at_rest(placed: Sequence[Placed]) -> bool:
    return bool(rows(UNFINISHED, ids=_ids(placed))[0][0] == 0)


def what_is_left(placed: Sequence[Placed]) -> list[str]:
    return [text for (text,) in rows(WHAT_IS_LEFT, ids=_ids(placed))]


def differences(stage: Stage, placed: Sequence[Placed], *, since: datetime) -> list[str]:
    """Every way in which a promise about these orders is broken."""
    return [
        *_answers(stage, placed, since),
        *_orders(stage, placed),
        *[text for (text,) in rows(LOOSE_ENDS, ids=_ids(placed))],
        *_outside(stage, placed),
        *_breaches(stage),
        *_audited(since, set(_ids(placed))),
    ]


def _breaches(stage: Stage) -> list[str]:
    """What the sandbox saw that no caller may do, since the last verdict."""
    breaches = [f"the sandbox saw {breach}" for breach in _ask(stage, "/ledger/violations")["violations"]]
    new = [breach for breach in breaches if breach not in stage.breaches]
    stage.breaches.update(new)
    return new


def _audited(since: datetime, ids: set[str]) -> list[str]:
    """What the audit finds of what is new; the providers' books are compared above, and as a whole at the end.

    An order that an earlier point has broken was that point's failure.
    """
    report = audit_now(at_rest=True, with_ledgers=False, since=since)
    return [
        f"{found.promise} {found.check}: {found.summary}: {row}"
        for found in report.violations
        for row in found.rows
        if str(row.get("order_id", row.get("correlation_id"))) in {*ids, "None"}
    ]


def _answers(stage: Stage, placed: Sequence[Placed], since: datetime) -> Iterator[str]:
    """I2: one order per key, and the same bytes to whoever asks again."""
    keys = sorted(one for (one,) in rows(KEYS, keys=[p.key for p in placed]))
    if keys != sorted(_ids(placed)):
        yield f"the keys led to {keys} and not to {_ids(placed)}"
    if (count := rows(SINCE, since=since)[0][0]) != len(placed):
        yield f"{count} orders for {len(placed)} keys"
    for one in placed:
        again = stage.customers.ask_again(one)
        if (again.status_code, again.content) != (201, one.answer) or "Idempotent-Replayed" not in again.headers:
            yield f"key {one.key} was answered {one.answer!r}, then {again.status_code} {again.content!r}"


def _orders(stage: Stage, placed: Sequence[Placed]) -> Iterator[str]:
    """I1, I3, I5, I8, I9, I10: each order's end, its money, its parcel, its stock and its notices."""
    found = {row[0]: row[1:] for row in rows(ORDERS, ids=_ids(placed))}
    all_charges, all_parcels = _entries(stage, "/payments/charges"), _entries(stage, "/shipping/shipments")
    for one in placed:
        end, total, sagas, created, notices, reservations = found.get(one.order_id, ("lost", 0, "", 0, None, None))
        ended_well = one.wanted.end == "confirmed"
        charges = [c for c in all_charges.get(one.order_id, []) if c["status"] == "captured"]
        captured = [c["amount_minor"] - c["refunded_minor"] for c in charges]
        parcels = [s for s in all_parcels.get(one.order_id, []) if s["status"] == "created"]
        is_as_wanted = {
            f"ended {end!r}, not {one.wanted.end!r}": end == one.wanted.end,
            f"has sagas {sagas!r}": sagas == ("completed" if ended_well else "compensated"),
            f"was told of {created} times": created == 1,
            f"was charged {captured} of {total}": captured == [total if ended_well else 0],
            f"has {len(parcels)} parcels": len(parcels) == int(ended_well),
            f"has notices {notices}": set(notices or []) == {f"{kind} sent" for kind in one.wanted.notices},
            f"has reservations {reservations}": reservations == ["committed" if ended_well else "released"],
        }
        yield from (f"order {one.order_id} {text}" for text, holds in is_as_wanted.items() if not holds)


def _outside(stage: Stage, placed: Sequence[Placed]) -> Iterator[str]:
    """I4, I12: what is done was received at least once, and each aggregate's messages in their order."""
    ids = set(_ids(placed))
    received: dict[str, list[str]] = {}
    for line in ledger_file.lines(stage.ledger):
        of_order = received.setdefault(line["metadata"]["aggregateId"], [])
        if line["eventId"] not in of_order:
            of_order.append(line["eventId"])
    sent: dict[str, list[str]] = {}
    for message_id, order_id in rows(OUTSIDE, ids=sorted(ids)):
        sent.setdefault(order_id, []).append(message_id)
    for order_id in sorted(ids):
        if received.get(order_id, []) != sent.get(order_id, []) or not sent.get(order_id):
            yield f"outside received {received.get(order_id)} of {order_id}, and not {sent.get(order_id)}"


def _entries(stage: Stage, path: str) -> dict[str, list[dict[str, Any]]]:
    """What the provider has entered since the last verdict, whatever its key, by order."""
    found: dict[str, list[dict[str, Any]]] = {}
    after = stage.cursors.get(path, "")
    while True:
        page = _ask(stage, f"{path}?limit=500&after={after}")
        for entry in page["data"]:
            found.setdefault(entry["order_id"], []).append(entry)
            after = entry["id"]
        if not page["has_more"]:
            stage.cursors[path] = after
            return found


def _ask(stage: Stage, path: str) -> Any:
    answer = requests.get(stage.stack.sandbox_url + path, headers=SANDBOX_KEY, timeout=10)
    answer.raise_for_status()
    return answer.json()


def _ids(placed: Sequence[Placed]) -> list[str]:
    return [one.order_id for one in placed]
