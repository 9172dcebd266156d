"""The audit's metrics, read at scrape time: what was found stands in Postgres, whoever found it."""

from collections.abc import Iterable

from django.db import connection
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

# Index difference_open.
OPEN_DIFFERENCES = """
SELECT kind, object, count(*), extract(epoch FROM statement_timestamp() - min(first_seen_at))
FROM audit_difference WHERE state = 'open' GROUP BY kind, object
"""


def collect() -> Iterable[Metric]:
    return _differences()


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
