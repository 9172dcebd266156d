"""What audit and reconciliation say of themselves to staff; it decides nothing."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db import connection

from .telemetry import LAST_RUN, OPEN_DIFFERENCES, STANDING_STILL


def details() -> Mapping[str, Any]:
    """The last audit of what is new and what it knows to be violated; open differences; how far each book was read."""
    return {"last_run": _last_run(), "differences": _differences(), "reconciled_seconds_ago": _reconciled()}


def _last_run() -> dict[str, Any] | None:
    for found, age_seconds, lag_seconds in _read(LAST_RUN):
        violations: Counter[str] = Counter()
        for one in json.loads(found).values():
            violations[one["promise"]] += one["count"]
        return {
            "age_seconds": round(float(age_seconds), 1),
            "lag_seconds": round(float(lag_seconds), 1),
            "violations": dict(violations),
        }
    return None


def _differences() -> list[dict[str, Any]]:
    return [
        {"kind": kind, "object": of, "count": count, "oldest_seconds": round(float(age), 1)}
        for kind, of, count, age in sorted(_read(OPEN_DIFFERENCES))
    ]


def _reconciled() -> dict[str, float]:
    return {of: round(float(seconds), 1) for of, seconds in sorted(_read(STANDING_STILL))}


def _read(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
