"""A report for people, and as JSON."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from .report import Report

PROMISES = tuple(f"I{number}" for number in range(1, 15))


def as_json(report: Report) -> str:
    """One object, as the drill and the tests read it."""
    return json.dumps(
        {
            "violations": [vars(violation) for violation in report.violations],
            "judged": report.judged,
            "unjudged": report.unjudged,
            "checks": len(report.taken),
            "seconds": report.seconds,
        },
        default=str,
    )


def as_text(report: Report) -> str:
    """A line per promise, each violation with its rows, and what was judged."""
    return "\n".join([*_promises(report), *_violations(report), "", *report.unjudged, _summary(report)])


def _promises(report: Report) -> Iterator[str]:
    for promise in PROMISES:
        found = [violation for violation in report.violations if violation.promise == promise]
        said = ", ".join(violation.check for violation in found) or "ok"
        yield f"{promise:<4} {said}"


def _violations(report: Report) -> Iterator[str]:
    for violation in report.violations:
        yield ""
        yield f"{violation.promise} {violation.check}: {violation.summary}"
        for row in violation.rows:
            yield "  " + "  ".join(f"{name}={_value(value)}" for name, value in row.items())
        if more := violation.count - len(violation.rows):
            yield f"  … and {more} more"


def _summary(report: Report) -> str:
    judged = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in report.judged.items())
    rows = sum(violation.count for violation in report.violations)
    verdict = f"{rows} rows violate {len(report.violations)} checks" if rows else "No violation"
    return f"{verdict}: {len(report.taken)} checks over {judged}, in {report.seconds:.1f} s."


def _value(value: Any) -> str:
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case UUID() | str():
            return str(value)
        case list():
            return "[" + ", ".join(_value(each) for each in value) + "]"
    return str(value)
