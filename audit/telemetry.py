"""The audit's metrics, read at scrape time: what was found stands in Postgres, whoever found it."""

import json
from collections.abc import Iterable

from django.db import connection
from prometheus_client import Counter, Metric
from prometheus_client.core import GaugeMetricFamily

STRANGERS = Counter(
    "reconciliation_strangers_total", "Entries in a provider's book that are somebody else's.", ["object"]
)
# Index difference_open.
OPEN_DIFFERENCES = """
SELECT kind, object, count(*), extract(epoch FROM statement_timestamp() - min(first_seen_at))
FROM audit_difference WHERE state = 'open' GROUP BY kind, object
"""
STANDING_STILL = "SELECT object, extract(epoch FROM statement_timestamp() - moved_at) FROM audit_position"

LAST_RUN = """
SELECT violations, extract(epoch FROM statement_timestamp() - began_at),
       extract(epoch FROM statement_timestamp() - judged_until)
FROM audit_auditrun WHERE name = 'audit'
"""
PROMISES = tuple(f"I{number}" for number in range(1, 15))


def collect() -> Iterable[Metric]:
    return [*_runs(), *_differences(), _reconciliation_lag()]


def _runs() -> list[Metric]:
    violations = GaugeMetricFamily("audit_violations", "Rows that violate a promise.", labels=["promise"])
    age = GaugeMetricFamily("audit_last_run_age_seconds", "Since the last audit of what is new began.")
    lag = GaugeMetricFamily("audit_lag_seconds", "Since the moment up to which everything was audited.")
    with connection.cursor() as cursor:
        cursor.execute(LAST_RUN)
        for found, age_seconds, lag_seconds in cursor.fetchall():
            counts = dict.fromkeys(PROMISES, 0)
            for one in json.loads(found).values():
                counts[one["promise"]] += one["count"]
            for promise, count in counts.items():
                violations.add_metric([promise], count)
            age.add_metric([], float(age_seconds))
            lag.add_metric([], float(lag_seconds))
    return [violations, age, lag]


def _differences() -> list[Metric]:
    labels = ["kind", "object"]
    count = GaugeMetricFamily(
        "reconciliation_differences", "What our books and the providers' tell otherwise.", labels=labels
    )
    oldest = GaugeMetricFamily(
        "reconciliation_oldest_difference_seconds", "Age of the oldest open difference.", labels=labels
    )
    with connection.cursor() as cursor:
        cursor.execute(OPEN_DIFFERENCES)
        for kind, of, found, age in cursor.fetchall():
            count.add_metric([kind, of], found)
            oldest.add_metric([kind, of], float(age))
    return [count, oldest]


def _reconciliation_lag() -> Metric:
    """Grows while a provider cannot be asked or read, and while nobody asks; however the comparison stands still."""
    lag = GaugeMetricFamily(
        "reconciliation_lag_seconds", "Since the comparison last moved, or found nothing new.", labels=["object"]
    )
    with connection.cursor() as cursor:
        cursor.execute(STANDING_STILL)
        for of, seconds in cursor.fetchall():
            lag.add_metric([of], float(seconds))
    return lag
