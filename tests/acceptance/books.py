"""What became of the orders, read with SQL: how many are under way, and how the others ended.

Whether all books agree is the audit's to judge (`service.audit()`), here as everywhere.
"""

from typing import Any

from django.db import connection


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


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def _one(sql: str) -> int:
    return int(_rows(sql)[0][0])
