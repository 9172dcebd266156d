"""The metrics of idempotency. Names are a contract (docs/metrics.md)."""

from prometheus_client import Counter

IDEMPOTENCY_REPLAYS = Counter("idempotency_replays_total", "Answers replayed from an Idempotency-Key.")
UNKNOWN_COMMITS = Counter(
    "idempotency_unknown_commits_total", "COMMITs whose reply was lost, by what a look-up found.", ["found"]
)
IDEMPOTENCY_CONFLICTS = Counter(
    "idempotency_conflicts_total", "Requests refused because of their Idempotency-Key: still in use, or another body."
)
