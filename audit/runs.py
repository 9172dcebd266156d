"""The frequent audit: what is new since the last run, in windows small enough to hold up nothing.

Guarantee: every message and order falls into a window of some run; an order that was under way is carried to the next
run, however old it is. What was found stays said, in the metric and in its row, until a whole audit does not find it:
an alarm does not end because a window moved on.
Not guaranteed: that it keeps up with any load; how far it has come is a metric. What only a whole audit reads (`When`)
is left to `manage.py audit`.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection

from .check import Violation
from .conf import conf
from .models import AuditRun
from .report import CannotJudge, Report, audit_scope
from .scope import Scope, first_key_of

NAME = "audit"
# About eight thousand orders, judged in a second or two.
WINDOW_MESSAGES = 50_000
# One run, so that the process that ticks does its other work too, and no worker's time limit is met.
RUN_MAX_SECONDS = 5.0
STATEMENT_TIMEOUT_SECONDS = 8
# Keys are made before their transaction commits, by hosts whose clocks differ: the last of them come again.
OVERLAP = timedelta(seconds=60)
# Between two windows of the past: events that follow each other are compared in one of the two.
WINDOW_OVERLAP = timedelta(seconds=1)
FIRST_WINDOW = timedelta(hours=1)
ROWS_KEPT = 3

# Primary key; reads as many entries as a window has.
WINDOW_END = "SELECT key FROM outbox_outboxmessage WHERE key >= %s ORDER BY key OFFSET %s LIMIT 1"

log = structlog.get_logger(__name__)


def run_if_due() -> bool:
    """One run, unless the last one has come to the present and its interval is not over; tells whether it ran."""
    now = _database_time()
    last = AuditRun.objects.filter(name=NAME).first()
    if last and not _is_behind(last, now) and now - last.began_at < timedelta(seconds=conf().interval_seconds):
        return False
    run(last, now=now)
    return True


def run(last: AuditRun | None, *, now: datetime) -> None:
    """Judges window after window until the present, or until its time is over; the next run goes on."""
    began = time.monotonic()
    since = last.judged_until - WINDOW_OVERLAP if last else now - FIRST_WINDOW
    carried = [UUID(order_id) for order_id in last.carried] if last else []
    while True:
        until = _window_end(since, now)
        try:
            report = audit_scope(_scope(since, until, carried), with_ledgers=False)
        except CannotJudge as error:
            log.error("audit.could_not_judge", error=str(error))
            return
        carried = list(report.unsettled)
        _keep(report, began_at=now, judged_until=min(until, now - OVERLAP), seconds=time.monotonic() - began)
        if until >= now or time.monotonic() - began > RUN_MAX_SECONDS:
            return
        since = until - WINDOW_OVERLAP


def keep_whole(report: Report) -> None:
    """A whole audit's result takes the place of what the runs had found."""
    AuditRun.objects.filter(name=NAME).update(violations={one.check: _kept(one) for one in report.violations})


def _scope(since: datetime, until: datetime, carried: Sequence[UUID]) -> Scope:
    return Scope(since=since, until=until, carried=carried, timeout_seconds=STATEMENT_TIMEOUT_SECONDS)


def _keep(report: Report, *, began_at: datetime, judged_until: datetime, seconds: float) -> None:
    row, _ = AuditRun.objects.get_or_create(
        name=NAME, defaults={"milliseconds": 0, "began_at": began_at, "judged_until": judged_until}
    )
    row.began_at, row.judged_until, row.milliseconds = began_at, judged_until, round(seconds * 1000)
    row.judged = dict(report.judged)
    row.carried = [str(order_id) for order_id in report.unsettled]
    row.violations = {**row.violations, **{one.check: _kept(one) for one in report.violations}}
    row.save()
    for violation in report.violations:
        log.error("audit.violation", **_kept(violation), check=violation.check, says=violation.summary)


def _kept(violation: Violation) -> Mapping[str, Any]:
    rows = [{name: str(value) for name, value in row.items()} for row in violation.rows[:ROWS_KEPT]]
    return {"promise": violation.promise, "count": violation.count, "rows": rows}


def _is_behind(last: AuditRun, now: datetime) -> bool:
    """The last run ended for lack of time, before its own present."""
    return last.judged_until < min(last.began_at, now) - OVERLAP


def _window_end(since: datetime, now: datetime) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(WINDOW_END, [first_key_of(since), WINDOW_MESSAGES])
        row = cursor.fetchone()
    if row is None:
        return now
    # A window that is full within the overlap would never move on.
    return min(now, max(_moment_of(row[0]), since + 2 * WINDOW_OVERLAP))


def _moment_of(key: UUID) -> datetime:
    """The moment of a UUIDv7."""
    return datetime.fromtimestamp((key.int >> 80) / 1000, tz=UTC)


def _database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
