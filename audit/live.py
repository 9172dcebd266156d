"""What the audit and the comparison of the books last found, for the operators' live page.

Guarantee: two queries; open differences by their own index, at most COUNTED_MAX of them. Not guaranteed: anything that
the audit itself does not (findings.py): counts are the least that is certain.
"""

import json
from dataclasses import dataclass

from django.db import connection

COUNTED_MAX = 10_000

# One row per audit, one per kind of object.
RUN = """
SELECT violations, extract(epoch FROM statement_timestamp() - began_at),
       extract(epoch FROM statement_timestamp() - judged_until),
       (SELECT max(extract(epoch FROM statement_timestamp() - moved_at)) FROM audit_position)
FROM (SELECT 1) AS one LEFT JOIN audit_auditrun ON name = 'audit'
"""
# Index difference_open.
OPEN_DIFFERENCES = """
SELECT kind, object, count(*), extract(epoch FROM statement_timestamp() - min(first_seen_at))
FROM (SELECT kind, object, first_seen_at FROM audit_difference
      WHERE state = 'open' ORDER BY last_seen_at LIMIT %(most)s) standing
GROUP BY kind, object ORDER BY kind, object
"""


@dataclass(frozen=True, kw_only=True)
class Violated:
    check: str
    promise: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Differing:
    kind: str
    object: str
    count: int
    oldest_age_seconds: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Ages are None before the first run."""

    violations: tuple[Violated, ...]
    differences: tuple[Differing, ...]
    run_age_seconds: float | None
    judged_age_seconds: float | None
    books_age_seconds: float | None

    @property
    def violations_count(self) -> int:
        return sum(one.count for one in self.violations)

    @property
    def differences_count(self) -> int:
        return sum(one.count for one in self.differences)


def findings() -> Findings:
    """What violates a promise, and what our books and the providers' tell otherwise, as far as anybody knows."""
    with connection.cursor() as cursor:
        cursor.execute(RUN)
        violations, *ages = cursor.fetchone()
        cursor.execute(OPEN_DIFFERENCES, {"most": COUNTED_MAX})
        differences = cursor.fetchall()
    run_age, judged_age, books_age = (None if age is None else float(age) for age in ages)
    return Findings(
        violations=tuple(
            Violated(check=check, promise=one["promise"], count=one["count"])
            for check, one in sorted(json.loads(violations or "{}").items())
        ),
        differences=tuple(
            Differing(kind=kind, object=of, count=count, oldest_age_seconds=float(age))
            for kind, of, count, age in differences
        ),
        run_age_seconds=run_age,
        judged_age_seconds=judged_age,
        books_age_seconds=books_age,
    )
