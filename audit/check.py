"""A check is data: a promise, a sentence and the SQL whose rows violate it.

Guarantee: a check reads tables by SQL of its own and nothing else; it shares no code with the services that it judges.
Not guaranteed: that no row means that the promise holds; what rows cannot show stands in docs/audit.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class When(Enum):
    """Which audits ask."""

    ALWAYS = "always"
    # At rest nothing may be under way: beside live traffic these rows are no violation.
    AT_REST = "at rest"
    # Reads whole tables: left out of the frequent audit of what is new.
    WHOLE = "whole"


@dataclass(frozen=True, kw_only=True)
class Check:
    """`name` says what must hold, `says` what a row of `sql` means.

    The SQL may use the table audit_order (scope.py) and the parameters of scope.parameters.
    """

    promise: str
    name: str
    says: str
    sql: str
    when: When = When.ALWAYS


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One check that found rows: at most `rows_max` of them are here, `count` were found."""

    promise: str
    check: str
    summary: str
    rows: Sequence[Mapping[str, Any]]
    count: int
