"""The plan of a statement that the service itself made: caught on its way to Postgres and explained.

Guarantee: the statement and its parameters are the service's own, and explaining leaves nothing changed. Not
guaranteed: the plan of another moment; statistics and caches are as they are now.
"""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan as EXPLAIN (ANALYZE, BUFFERS) tells it."""

    root: dict[str, Any]
    milliseconds: float

    @property
    def buffers(self) -> int:
        """Shared buffers that were touched, in cache or not."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    def nodes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every node with its depth, from the top."""
        return _walk(self.root, 0)

    def rows_read(self, tables: Collection[str]) -> int:
        """Rows of these tables that were looked at, whether or not they were wanted."""
        read = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        return sum(
            round(sum(node.get(kind, 0) for kind in read) * node["Actual Loops"])
            for _, node in self.nodes()
            if node.get("Relation Name") in tables
        )

    def whole_scans(self, table: str) -> list[str]:
        """The sequential scans of this table."""
        return [
            node["Node Type"]
            for _, node in self.nodes()
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] == table
        ]

    def lines(self) -> list[str]:
        return [
            f"{'  ' * depth}{node['Node Type']}{_on(node)}: {node['Actual Rows']:g} rows × {node['Actual Loops']}, "
            f"{node['Shared Hit Blocks'] + node['Shared Read Blocks']} buffers"
            for depth, node in self.nodes()
        ]


def caught(act: Callable[[], object]) -> list[tuple[str, Any]]:
    """The statements, with their parameters, that an act makes. What it changes is undone."""
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(note):
        act()
        transaction.set_rollback(True)
    return statements


def explain(sql: str, params: Any) -> Plan:
    """Runs the statement, tells its plan, and undoes it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
        told = cursor.fetchone()[0]
        transaction.set_rollback(True)
    [plan] = json.loads(told) if isinstance(told, str) else told
    return Plan(root=plan["Plan"], milliseconds=plan["Execution Time"])


def _walk(node: dict[str, Any], depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
    yield depth, node
    for child in node.get("Plans", []):
        yield from _walk(child, depth + 1)


def _on(node: dict[str, Any]) -> str:
    index, table = node.get("Index Name"), node.get("Relation Name")
    return "".join([f" using {index}" if index else "", f" on {table}" if table else ""])
