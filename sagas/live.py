"""Where sagas stand and how long their steps take, for the operators' live page.

Guarantee: two queries, however many sagas there are: live ones by their partial indexes, at most COUNTED_MAX of each
state, and the newest STEPS_MAX steps. Not guaranteed: that a step of long ago counts; only the last hour's do.
"""

from dataclasses import dataclass

from django.db import connection

COUNTED_MAX = 10_000
STEPS_MAX = 4_000

# Indexes saga_running and saga_needs_attention; IN would read every saga there ever was.
STANDING = """
SELECT status, direction, current_step, count(*), count(*) FILTER (WHERE last_error > ''),
       extract(epoch FROM statement_timestamp() - min(started_at))
FROM (
    (SELECT status, direction, current_step, last_error, started_at
     FROM sagas_saga WHERE status = 'running' ORDER BY id LIMIT %(most)s)
    UNION ALL
    (SELECT status, direction, current_step, last_error, started_at
     FROM sagas_saga WHERE status = 'needs_attention' ORDER BY id LIMIT %(most)s)
) live
GROUP BY status, direction, current_step ORDER BY status, direction DESC, count(*) DESC
"""
# Index sagas_sagastep_pkey, walked from the newest: a row appears when its step is first run.
STEPS = """
SELECT run.step, run.undo, count(*), count(*) FILTER (WHERE run.ended IS NOT NULL),
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM run.ended - run.began))
           FILTER (WHERE run.ended IS NOT NULL),
       sum(greatest(run.attempts - 1, 0)), count(*) FILTER (WHERE run.status IN ('retrying', 'unknown')),
       count(*) FILTER (WHERE run.status IN ('refused', 'given_up', 'failed'))
FROM (SELECT * FROM sagas_sagastep ORDER BY id DESC LIMIT %(most)s) lately
CROSS JOIN LATERAL (VALUES
    (name, false, status, attempts, started_at, finished_at),
    (name, true, undo_status, undo_attempts, undo_started_at, undo_finished_at)
) AS run(step, undo, status, attempts, began, ended)
WHERE run.began > statement_timestamp() - interval '1 hour'
GROUP BY run.step, run.undo ORDER BY run.undo, min(lately.position), run.step
"""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Live sagas of one status and direction at one step."""

    status: str
    direction: str
    step: str
    count: int
    with_error: int
    oldest_age_seconds: float


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """A step, or its compensation (`is_undo`), as it ran lately; times are None while none of it has ended."""

    step: str
    is_undo: bool
    runs: int
    ended: int
    p50_seconds: float | None
    p95_seconds: float | None
    retries: int
    waiting: int
    failed: int


def standing() -> list[Standing]:
    """Live sagas, those that wait for a person first."""
    with connection.cursor() as cursor:
        cursor.execute(STANDING, {"most": COUNTED_MAX})
        return [
            Standing(
                status=status,
                direction=direction,
                step=step,
                count=count,
                with_error=with_error,
                oldest_age_seconds=float(age),
            )
            for status, direction, step, count, with_error, age in cursor.fetchall()
        ]


def step_times() -> list[StepTimes]:
    """The steps that began within the hour, in the order of their process; compensations last."""
    with connection.cursor() as cursor:
        cursor.execute(STEPS, {"most": STEPS_MAX})
        return [
            StepTimes(
                step=step,
                is_undo=is_undo,
                runs=runs,
                ended=ended,
                p50_seconds=times[0] if times else None,
                p95_seconds=times[1] if times else None,
                retries=int(retries),
                waiting=waiting,
                failed=failed,
            )
            for step, is_undo, runs, ended, times, retries, waiting, failed in cursor.fetchall()
        ]
