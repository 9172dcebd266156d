"""Metrics: `breaker_state{provider}`, 0 closed, 1 half open, 2 open; read from the rows at scrape time, one query.

And `provider_call_slots{provider}`, which each calling process adapts by itself: what the last living one said.
"""

from collections.abc import Iterable

from prometheus_client import Gauge, Metric
from prometheus_client.core import GaugeMetricFamily

from providers import selectors
from providers.models import BreakerState

CALL_SLOTS = Gauge(
    "provider_call_slots",
    "Calls to a provider that one process may have under way now.",
    ["provider"],
    multiprocess_mode="livemostrecent",
)
VALUES = {BreakerState.CLOSED.value: 0, BreakerState.HALF_OPEN.value: 1, BreakerState.OPEN.value: 2}


def collect() -> Iterable[Metric]:
    """Asks the database, so it is right whichever process answers the scrape."""
    family = GaugeMetricFamily("breaker_state", "0 closed, 1 half open, 2 open.", labels=["provider"])
    for provider, state in selectors.breaker_states().items():
        family.add_metric([provider], VALUES[state])
    return [family]
