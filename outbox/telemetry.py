"""The outbox's metrics. Counters live in each process; backlog gauges come from one query at scrape time.

Names are a contract (docs/metrics.md). Never an id in a label.
"""

from collections.abc import Iterable

from django.db import connection
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

from . import broker_depth

OUTBOX_PUBLISHED = Counter("outbox_published_total", "Messages done inside or confirmed outside.", ["destination"])
OUTBOX_FAILED = Counter("outbox_failed_total", "Attempts that failed.", ["destination"])
OUTBOX_RETRIES = Counter("outbox_retries_total", "Messages put back to be tried again.", ["destination"])
OUTBOX_SEND_SECONDS = Histogram(
    "outbox_send_seconds", "Time to send a batch to a destination outside.", ["destination"]
)
INBOX_CONSUMED = Counter("inbox_consumed_total", "Messages a consumer claimed.", ["consumer", "outcome"])
INBOX_DUPLICATES = Counter("inbox_duplicates_total", "Messages a consumer had handled before.", ["consumer"])
TAKEOVERS = Counter("outbox_takeovers_total", "Messages claimed whose earlier claim ran out.", ["destination"])
STALE_CLAIMS = Counter(
    "outbox_stale_claims_total", "Claims that had been taken over when they finished.", ["destination"]
)

# Indexes outbox_open and outbox_dead; IN would read every message there ever was. One that is scheduled ages from its
# time on.
BACKLOG = """
SELECT destination,
       count(*) FILTER (WHERE state = 'open' AND due_at <= statement_timestamp()) AS due,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       greatest(extract(epoch FROM statement_timestamp()
                - min(greatest(created_at, scheduled_for)) FILTER (WHERE state = 'open')), 0) AS oldest_seconds,
       coalesce(extract(epoch FROM statement_timestamp()
                - min(due_at) FILTER (WHERE state = 'open' AND due_at <= statement_timestamp())), 0) AS lag_seconds,
       count(*) FILTER (WHERE state = 'open') AS open
FROM outbox_outboxmessage WHERE state = 'open' OR state = 'dead' GROUP BY destination
"""
HEARTBEATS = "SELECT kind, extract(epoch FROM statement_timestamp() - max(seen_at)) FROM outbox_heartbeat GROUP BY kind"


def collect() -> Iterable[Metric]:
    """Backlog, heartbeats and RabbitMQ's dead letters, read at scrape time."""
    pending = GaugeMetricFamily("outbox_pending", "Open messages.", labels=["destination"])
    dead = GaugeMetricFamily("outbox_dead", "Dead messages: somebody must look.", labels=["destination"])
    oldest = GaugeMetricFamily("outbox_oldest_age_seconds", "Age of the oldest open message.", labels=["destination"])
    lag = GaugeMetricFamily("consumer_lag_seconds", "How long the first due message has been due.", labels=["consumer"])
    beats = GaugeMetricFamily("heartbeat_age_seconds", "Time since a kind of process was last seen.", labels=["kind"])
    with connection.cursor() as cursor:
        cursor.execute(BACKLOG)
        for destination, _due, dead_count, oldest_age, lag_seconds, open_count in cursor.fetchall():
            pending.add_metric([destination], open_count)
            dead.add_metric([destination], dead_count)
            oldest.add_metric([destination], float(oldest_age))
            lag.add_metric([destination], float(lag_seconds))
        cursor.execute(HEARTBEATS)
        for kind, age in cursor.fetchall():
            beats.add_metric([kind], float(age))
    return [pending, dead, oldest, lag, beats, _dead_letters()]


def _dead_letters() -> Metric:
    depth = GaugeMetricFamily("broker_dlq_depth", "Messages in a dead-letter queue of RabbitMQ.", labels=["queue"])
    for queue, messages in broker_depth.dead_letters().items():
        depth.add_metric([queue], messages)
    return depth
