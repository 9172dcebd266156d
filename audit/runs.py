"""The frequent audit: what is new since the last run, in windows small enough to hold up nothing.

Guarantee: every message and order falls into a window of some run; an order that was under way is carried to the next
run, however old it is. What was found stays said (findings.py). A run ends within RUN_ENDS_SECONDS, whatever the
database does; a window that could not be judged comes again, smaller.
Not guaranteed: that it keeps up with any load; how far it has come is a metric. A message that was written longer than
OVERLAP before its transaction committed, or by a clock that far behind, is left to a whole audit, and so is what only
that one reads (`When`).
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from . import findings
from .conf import conf
from .models import AuditRun
from .report import CannotJudge, Report, audit_scope
from .scope import Scope, bounded, first_key_of

NAME = "audit"
# About eight thousand orders, judged in a second or two.
WINDOW_MESSAGES = 50_000
# A database that cannot judge so few in time needs a person.
WINDOW_MESSAGES_MIN = 1_000
# A window that was judged makes the next one larger by a quarter.
WINDOW_GROWTH = 1.25
# After so long no window begins, so that the process that ticks does its other work too.
RUN_MAX_SECONDS = 5.0
# The run's last statement has ended by then, and by this share of the worker's soft time limit.
RUN_ENDS_SECONDS = 9.0
RUN_ENDS_SHARE = 0.75
STATEMENT_TIMEOUT_SECONDS = 8
# Keys are made before their transaction commits, by hosts whose clocks differ: the last of them come again.
OVERLAP = timedelta(minutes=10)
# Between two windows of the past: events that follow each other are compared in one of the two.
WINDOW_OVERLAP = timedelta(seconds=1)
FIRST_WINDOW = timedelta(hours=1)

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
    size = min(last.window_messages, WINDOW_MESSAGES) if last else WINDOW_MESSAGES
    while True:
        ends_at = began + run_ends_seconds()
        try:
            until = _window_end(since, size=size, now=now, ends_at=ends_at)
            report = audit_scope(_scope(since, until, carried, ends_at), with_ledgers=False)
        except CannotJudge as error:
            log.error("audit.could_not_judge", error=str(error), window_messages=size)
            return _keep_smaller(size, now=now)
        except Exception:
            # A worker's soft time limit too: the same window would only meet it again.
            _keep_smaller(size, now=now)
            raise
        carried = list(report.unsettled)
        size = min(WINDOW_MESSAGES, round(size * WINDOW_GROWTH))
        _keep(report, began_at=now, judged_until=until, seconds=time.monotonic() - began, size=size)
        if report.unsettled_left_out or until >= now or time.monotonic() - began > RUN_MAX_SECONDS:
            return None
        since = until - WINDOW_OVERLAP


def run_ends_seconds() -> float:
    """How long a run may take before its last statement has ended."""
    return min(RUN_ENDS_SECONDS, RUN_ENDS_SHARE * settings.CELERY_TASK_SOFT_TIME_LIMIT)


def keep_whole(report: Report) -> None:
    """A whole audit's result takes the place of what it could have found, and no alarm of what came after it."""
    with transaction.atomic():
        row = _locked(now=report.snapshot_after)
        row.violations = findings.after_whole(row.violations, report, now=_database_time())
        row.save(update_fields=["violations"])


def _scope(since: datetime, until: datetime, carried: Sequence[UUID], ends_at: float) -> Scope:
    return Scope(since=since, until=until, carried=carried, ends_at=ends_at, timeout_seconds=STATEMENT_TIMEOUT_SECONDS)


def _keep(report: Report, *, began_at: datetime, judged_until: datetime, seconds: float, size: int) -> None:
    """One short transaction, so that a whole audit that ends meanwhile and this run both stand."""
    with transaction.atomic():
        row = _locked(now=began_at)
        row.began_at, row.milliseconds, row.window_messages = began_at, round(seconds * 1000), size
        row.judged = dict(report.judged)
        row.violations = findings.merged(row.violations, report.violations, now=_database_time())
        # More under way than can be carried: the row forgets none of them, and the window comes again.
        if not report.unsettled_left_out:
            row.judged_until = min(judged_until, began_at - OVERLAP)
            row.carried = [str(order_id) for order_id in report.unsettled]
        row.save()
    if report.unsettled_left_out:
        log.error("audit.too_many_under_way", carried_at_most=len(report.unsettled))
    for violation in report.violations:
        log.error("audit.violation", **findings.shown(violation), check=violation.check, says=violation.summary)


def _keep_smaller(size: int, *, now: datetime) -> None:
    with transaction.atomic():
        row = _locked(now=now)
        row.window_messages = max(min(size, WINDOW_MESSAGES_MIN), size // 2)
        row.save(update_fields=["window_messages"])


def _locked(*, now: datetime) -> AuditRun:
    """The row, held until the transaction ends; made if there is none, as if nothing had been judged yet."""
    first = {"milliseconds": 0, "began_at": now, "judged_until": now - FIRST_WINDOW}
    row, _ = AuditRun.objects.select_for_update().get_or_create(name=NAME, defaults=first)
    return row


def _is_behind(last: AuditRun, now: datetime) -> bool:
    """The last run ended for lack of time, before its own present."""
    return last.judged_until < min(last.began_at, now) - OVERLAP


def _window_end(since: datetime, *, size: int, now: datetime, ends_at: float) -> datetime:
    try:
        with bounded(ends_at=ends_at, timeout_seconds=STATEMENT_TIMEOUT_SECONDS), connection.cursor() as cursor:
            cursor.execute(WINDOW_END, [first_key_of(since), size])
            row = cursor.fetchone()
    except DatabaseError as error:
        raise CannotJudge(f"The database did not answer: {error}".strip()) from error
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
