"""The audit: judges the promises by the rows, and the books of the providers by ours.

Guarantee: every check sees one snapshot; beside live traffic only what is settled is judged; nothing is written.
Raises CannotJudge when the database does not answer in time; a provider that cannot be asked is said in the report,
and the rest is judged all the same.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection

from .check import Check, When
from .checks import CHECKS
from .conf import conf
from .scope import Scope, judged

# `found` is computed whole, so that what is not shown is counted.
BOUNDED = (
    "WITH found AS MATERIALIZED ({sql}) SELECT count(*) OVER () AS rows_found, found.* FROM found LIMIT %(rows_max)s"
)

COUNTED = """
SELECT (SELECT count(*) FROM audit_order) AS orders,
       (SELECT count(*) FROM audit_order WHERE settled) AS settled_orders,
       (SELECT count(*) FROM sagas_saga WHERE id >= %(since_key)s) AS sagas,
       (SELECT count(*) FROM outbox_outboxmessage WHERE key >= %(since_key)s) AS messages,
       (SELECT count(*) FROM payments_payment WHERE id >= %(since_key)s) AS payments,
       (SELECT count(*) FROM shipping_shipment WHERE id >= %(since_key)s) AS shipments
"""


class CannotJudge(Exception):
    """The database did not answer: whether the promises hold is unknown."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One check that found rows: at most `rows_max` of them are here, `count` were found."""

    promise: str
    check: str
    summary: str
    rows: Sequence[Mapping[str, Any]]
    count: int


@dataclass(frozen=True, kw_only=True)
class Report:
    violations: Sequence[Violation]
    # How much was looked at: {"orders": …, "settled_orders": …, …}
    judged: Mapping[str, int]
    checks: int
    seconds: float
    # What could not be judged, and why, in sentences.
    unjudged: Sequence[str] = field(default=())

    @property
    def holds(self) -> bool:
        return not self.violations


def audit_now(*, at_rest: bool, with_ledgers: bool, since: datetime | None = None) -> Report:
    """Judges everything, or what was placed or had a message since then. Raises CannotJudge."""
    return audit_scope(Scope(at_rest=at_rest, since=since), with_ledgers=with_ledgers)


def audit_scope(scope: Scope, *, with_ledgers: bool) -> Report:
    """The same for any scope."""
    began = time.monotonic()
    checks = [check for check in CHECKS if _is_asked(check, scope)]
    try:
        with judged(scope):
            violations = [found for check in checks if (found := _ask(check, scope))]
            counted = _rows(COUNTED, scope.parameters())[0]
    except DatabaseError as error:
        raise CannotJudge(f"The database did not answer: {error}".strip()) from error
    return Report(violations=violations, judged=counted, checks=len(checks), seconds=round(time.monotonic() - began, 3))


def _is_asked(check: Check, scope: Scope) -> bool:
    return check.when == When.ALWAYS or (scope.at_rest if check.when == When.AT_REST else scope.is_whole)


def _ask(check: Check, scope: Scope) -> Violation | None:
    rows = _rows(BOUNDED.format(sql=check.sql), {**scope.parameters(), "rows_max": conf().rows_max})
    if not rows:
        return None
    counts = [row.pop("rows_found") for row in rows]
    return Violation(promise=check.promise, check=check.name, summary=check.says, rows=rows, count=counts[0])


def _rows(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
