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
from uuid import UUID

from django.db import DatabaseError, connection

from outbox.operations import Told, nobody_asks

from .check import Check, Violation, When
from .checks import CHECKS
from .conf import conf
from .ledgers import Ledgers, judge_ledgers
from .scope import CannotJudge, Scope, judged

__all__ = ["CannotJudge", "Report", "audit_now", "audit_scope"]

# `found` is computed whole, so that what is not shown is counted.
BOUNDED = (
    "WITH found AS MATERIALIZED ({sql}) SELECT count(*) OVER () AS rows_found, found.* FROM found LIMIT %(rows_max)s"
)

COUNTED = """
SELECT (SELECT count(*) FROM audit_order) AS orders,
       (SELECT count(*) FROM audit_order WHERE settled) AS settled_orders,
       (SELECT count(*) FROM sagas_saga WHERE id BETWEEN %(since_key)s AND %(until_key)s) AS sagas,
       (SELECT count(*) FROM outbox_outboxmessage WHERE key BETWEEN %(since_key)s AND %(until_key)s) AS messages,
       (SELECT count(*) FROM payments_payment WHERE id BETWEEN %(since_key)s AND %(until_key)s) AS payments,
       (SELECT count(*) FROM shipping_shipment WHERE id BETWEEN %(since_key)s AND %(until_key)s) AS shipments
"""

UNSETTLED = "SELECT id FROM audit_order WHERE NOT settled ORDER BY id LIMIT %(most)s"
UNSETTLED_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class Report:
    violations: Sequence[Violation]
    # How much was looked at: {"orders": …, "settled_orders": …, …}
    judged: Mapping[str, int]
    # Seconds by check: what was asked, and what it cost.
    taken: Mapping[str, float]
    seconds: float
    # By the database's clock, just before the snapshot was taken.
    snapshot_after: datetime
    # Orders of the scope that are not settled yet, the oldest first; bounded: then there are more of them.
    unsettled: Sequence[UUID] = field(default=())
    unsettled_left_out: bool = False
    # The providers' books were read, all but what `unjudged` names.
    with_ledgers: bool
    # What could not be judged, and why, in sentences.
    unjudged: Sequence[str] = field(default=())

    @property
    def holds(self) -> bool:
        return not self.violations


def count_of_checks(*, at_rest: bool, since: datetime | None = None) -> int:
    """How many checks such an audit asks."""
    return len(_asked(Scope(at_rest=at_rest, since=since)))


def audit_now(*, at_rest: bool, with_ledgers: bool, since: datetime | None = None, told: Told = nobody_asks) -> Report:
    """Judges everything, or what was placed or had a message since then; `told` hears of each check. Raises
    CannotJudge."""
    return audit_scope(Scope(at_rest=at_rest, since=since), with_ledgers=with_ledgers, told=told)


def audit_scope(scope: Scope, *, with_ledgers: bool, told: Told = nobody_asks) -> Report:
    """The same for any scope."""
    began = time.monotonic()
    violations: list[Violation] = []
    taken: dict[str, float] = {}
    try:
        with judged(scope) as snapshot_after:
            for check in _asked(scope):
                began_check = time.monotonic()
                violations += _ask(check, scope)
                taken[check.name] = round(time.monotonic() - began_check, 3)
                told(1)
            counted = _rows(COUNTED, scope.parameters())[0]
            unsettled = [] if scope.is_whole else _unsettled()
    except DatabaseError as error:
        raise CannotJudge(f"The database did not answer: {error}".strip()) from error
    ledgers = judge_ledgers(at_rest=scope.at_rest) if with_ledgers else Ledgers()
    return Report(
        violations=[*violations, *ledgers.violations],
        judged=counted,
        taken=taken,
        seconds=round(time.monotonic() - began, 3),
        snapshot_after=snapshot_after,
        unsettled=unsettled[:UNSETTLED_MAX],
        unsettled_left_out=len(unsettled) > UNSETTLED_MAX,
        with_ledgers=with_ledgers,
        unjudged=ledgers.unjudged,
    )


def _asked(scope: Scope) -> list[Check]:
    """A whole audit asks everything; only one at rest asks whether anything is left."""
    left_out = {When.AT_REST: not scope.at_rest, When.WHOLE: not scope.is_whole, When.ALWAYS: False}
    return [check for check in CHECKS if not left_out[check.when]]


def _ask(check: Check, scope: Scope) -> list[Violation]:
    rows = _rows(BOUNDED.format(sql=check.sql), {**scope.parameters(), "rows_max": conf().rows_max})
    if not rows:
        return []
    counts = [row.pop("rows_found") for row in rows]
    return [Violation(promise=check.promise, check=check.name, summary=check.says, rows=rows, count=counts[0])]


def _unsettled() -> list[UUID]:
    """One more than is kept, if there is one more."""
    return [row["id"] for row in _rows(UNSETTLED, {"most": UNSETTLED_MAX + 1})]


def _rows(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
