"""Rows that keep what a provider said: noting new ones, moving a locked one along its table of transitions, and writing
what changed.

Guarantees that a status changes only from what it was when the row was locked, and only to what the table allows: a
fact never gives way to a lesser one. One statement, however many rows.
Does not lock: the caller does, in key order.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol
from uuid import UUID

from django.db import connection
from psycopg.types.json import Jsonb


class Row(Protocol):
    """A model with a status; `TRANSITIONS` says what may follow each."""

    TRANSITIONS: ClassVar[Mapping[str, frozenset[str]]]
    status: str

    @property
    def pk(self) -> Any: ...


def insert(rows: Sequence[Any], *, table: str, columns: Mapping[str, str]) -> set[UUID]:
    """Inserts `columns` (name and SQL type) of these rows, in this order; returns the ids of those that are new.

    One that conflicts, with whichever constraint, is left out. A new one is locked, as every row is that one wrote.
    """
    if not rows:
        return set()
    values = [[_value(row, name, kind) for row in rows] for name, kind in columns.items()]
    with connection.cursor() as cursor:
        cursor.execute(_insertion(table, columns), [[row.pk for row in rows], *values])
        return {id_ for (id_,) in cursor.fetchall()}


def statuses(rows: Mapping[UUID, Row]) -> dict[UUID, str]:
    """What to compare with once the rows have been changed."""
    return {key: row.status for key, row in rows.items()}


def move(row: Row, *targets: str) -> str | None:
    """Moves a locked row to the first target its status allows; None: a fact stands that none of them may replace."""
    allowed = row.TRANSITIONS[row.status]
    for target in targets:
        if target in allowed:
            row.status = target
            return target
    return None


def write(rows: Mapping[UUID, Row], *, before: Mapping[UUID, str], table: str, columns: Mapping[str, str]) -> None:
    """Writes `columns` (name and SQL type) of the locked rows whose status is not what it was before."""
    changed = [row for row in rows.values() if row.status != before[row.pk]]
    if not changed:
        return
    values = [[getattr(row, name) for row in changed] for name in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            _statement(table, columns), [[row.pk for row in changed], [before[row.pk] for row in changed], *values]
        )
        if cursor.rowcount != len(changed):
            raise RuntimeError(f"{cursor.rowcount} of {len(changed)} locked rows had the status they were locked with")


def _value(row: Any, name: str, kind: str) -> Any:
    value = getattr(row, name)
    return Jsonb(value) if kind == "jsonb" else value


def _insertion(table: str, columns: Mapping[str, str]) -> str:
    names = ", ".join(["id", *columns])
    arrays = ", ".join(f"%s::{kind}[]" for kind in ["uuid", *columns.values()])
    return f"""
        INSERT INTO {table} ({names})
        SELECT {names} FROM unnest({arrays}) WITH ORDINALITY AS new ({names}, place) ORDER BY place
        ON CONFLICT DO NOTHING RETURNING id
    """  # noqa: S608 - names of our own tables and columns, no values


def _statement(table: str, columns: Mapping[str, str]) -> str:
    return f"""
        UPDATE {table} AS t
        SET {", ".join(f"{name} = v.{name}" for name in columns)}, updated_at = statement_timestamp()
        FROM unnest(%s::uuid[], %s::text[], {", ".join(f"%s::{kind}[]" for kind in columns.values())})
            AS v (id, was, {", ".join(columns)})
        WHERE t.id = v.id AND t.status = v.was
    """  # noqa: S608 - names of our own tables and columns, no values
