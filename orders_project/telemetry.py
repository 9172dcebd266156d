"""What the HTTP edge measures of itself; `docs/metrics.md` explains each metric."""

from prometheus_client import Counter, Histogram

HTTP_REQUEST_SECONDS = Histogram(
    "http_request_seconds",
    "Time from the first middleware to the finished answer, by URL pattern.",
    ["route", "method", "status", "replay"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
METRICS_COLLECTION_FAILURES = Counter(
    "metrics_collection_failures_total",
    "Scrapes in which an app's backlog figures could not be read, by app.",
    ["app"],
)
