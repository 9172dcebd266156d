"""The saga engine's metrics: counters in each process, gauges from one query at scrape time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.db import connection
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

from outbox import rehearsal

if TYPE_CHECKING:
    from .decisions import Case
    from .definition import Definition

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

SAGA_DURATION = Histogram(
    "saga_duration_seconds", "From a saga's start to its end.", ["saga", "status"], buckets=LATENCY_BUCKETS
)
STEP_SECONDS = Histogram(
    "saga_step_seconds", "From a step's first attempt to its end.", ["step", "status"], buckets=LATENCY_BUCKETS
)
STEP_RETRIES = Counter("saga_step_retries_total", "Step attempts that go again.", ["step"])
COMPENSATION_FAILED = Counter("saga_compensation_failed_total", "Compensations that need a person.", ["step"])
UNKNOWN_OUTCOMES = Counter("saga_unknown_outcomes_total", "Calls of which nobody knew what became.", ["step"])
UNKNOWN_RESOLVED = Counter(
    "saga_unknown_resolved_total",
    "Unknown outcomes that were cleared up, by what the provider's answer proved.",
    ["step", "became"],
)
COMPENSATED = Counter(
    "saga_compensated_total", "Sagas that ended compensated, by what had turned them.", ["saga", "cause"]
)
# What turned a saga: a participant said no; a step's attempts were spent; its customer; a person on call.
REFUSED, SPENT, CANCELLED, OPERATOR = CAUSES = ("refused", "spent", "cancelled", "operator")
RECOVERED = Counter("saga_recovered_total", "Live sagas found without an open message: never, if all is well.")

# Indexes saga_running and saga_needs_attention; IN would read every saga there ever was.
COUNTS = """
SELECT name, status, count(*) FROM sagas_saga WHERE status = 'running' OR status = 'needs_attention'
GROUP BY name, status
"""


def expect(definition: Definition) -> None:
    """Begins at 0 what alerts watch the first move of: a series that appears with its first count has not risen."""
    for cause in CAUSES:
        COMPENSATED.labels(definition.name, cause)
    for step in definition.steps:
        if step.compensation is not None:
            COMPENSATION_FAILED.labels(step.name)


def observe(cases: Sequence[Case]) -> None:
    """Counts what a batch decided, and nothing of a rehearsal. Before the commit: an undone batch is counted again."""
    for case in () if rehearsal.is_under_way() else cases:
        step, saga, row = case.row.name, case.saga, case.row
        if case.later is not None:
            STEP_RETRIES.labels(step).inc()
            if (row.undo_status if case.undo else row.status) == "unknown":
                UNKNOWN_OUTCOMES.labels(step).inc()
        elif not case.undo and row.started_at and row.finished_at:
            STEP_SECONDS.labels(step, row.status).observe((row.finished_at - row.started_at).total_seconds())
        if case.undo and row.undo_status == "failed" and step in case.touched:
            COMPENSATION_FAILED.labels(step).inc()
        if case.ended:
            SAGA_DURATION.labels(saga.name, saga.status).observe((case.now - saga.started_at).total_seconds())
            if saga.status == "compensated":
                COMPENSATED.labels(saga.name, _cause(case)).inc()


def _cause(case: Case) -> str:
    if case.saga.reason in (CANCELLED, OPERATOR):
        return str(case.saga.reason)
    return REFUSED if any(row.status == "refused" for row in case.all_steps.values()) else SPENT


def collect() -> Iterable[Metric]:
    """Live sagas by state, read at scrape time."""
    active = GaugeMetricFamily("saga_active", "Sagas under way.", labels=["saga"])
    attention = GaugeMetricFamily("saga_needs_attention", "Sagas that wait for a person.", labels=["saga"])
    with connection.cursor() as cursor:
        cursor.execute(COUNTS)
        for name, status, count in cursor.fetchall():
            (active if status == "running" else attention).add_metric([name], count)
    return [active, attention]
