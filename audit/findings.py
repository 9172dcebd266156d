"""What the audits found, as it is kept: by check, until a whole audit that could have found it does not.

Guarantee: no finding of a window takes the place of an earlier window's; a whole audit ends only the alarm of what was
found before its snapshot, and that of the providers' books only if it read them all.
Not guaranteed: an exact count. The windows overlap, so rows are told apart by their ids, the first ROWS_KEPT of them:
the count kept is the least that is certain.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .check import Violation
from .ledgers import is_of_a_book
from .report import Report

ROWS_KEPT = 20
ROWS_LOGGED = 3

Kept = Mapping[str, Any]
Findings = Mapping[str, Kept]


def shown(violation: Violation) -> dict[str, Any]:
    """For the log."""
    return {"promise": violation.promise, "count": violation.count, "rows": _as_text(violation.rows[:ROWS_LOGGED])}


def merged(earlier: Findings, violations: Sequence[Violation], *, now: datetime) -> dict[str, Kept]:
    """What a window found beside what others had found."""
    return _joined(earlier, {one.check: _kept(one, now=now) for one in violations})


def after_whole(earlier: Findings, report: Report, *, now: datetime) -> dict[str, Kept]:
    """What a whole audit found, and what it could not have found."""
    stays = {check: one for check, one in earlier.items() if not _could_find(report, check, one)}
    return _joined(stays, {one.check: _kept(one, now=now) for one in report.violations})


def _could_find(report: Report, check: str, kept: Kept) -> bool:
    if is_of_a_book(check):
        return report.with_ledgers and not report.unjudged
    found_at = kept.get("found_at")
    # Kept by a version that noted no time: long ago.
    return found_at is None or datetime.fromisoformat(found_at) < report.snapshot_after


def _joined(earlier: Findings, later: Findings) -> dict[str, Kept]:
    return {
        **earlier,
        **{check: _both(earlier[check], one) if check in earlier else one for check, one in later.items()},
    }


def _both(earlier: Kept, later: Kept) -> Kept:
    rows = {_identity(row): row for row in [*later["rows"], *earlier["rows"]]}
    count = max(earlier["count"], later["count"], len(rows))
    return {**later, "count": count, "rows": list(rows.values())[:ROWS_KEPT]}


def _identity(row: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Ids do not change from run to run, as attempts and times do."""
    ids = tuple((name, value) for name, value in row.items() if name == "sku" or name.endswith("_id"))
    return ids or tuple(row.items())


def _kept(violation: Violation, *, now: datetime) -> Kept:
    return {
        "promise": violation.promise,
        "count": violation.count,
        "rows": _as_text(violation.rows[:ROWS_KEPT]),
        # By the database's clock, after the snapshot in which it was found.
        "found_at": now.isoformat(),
    }


def _as_text(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{name: str(value) for name, value in row.items()} for row in rows]
