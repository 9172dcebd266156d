"""The metrics of orders, and the order's name on a request's log lines and span. Names are a contract
(docs/metrics.md, docs/tracing.md).

Not guaranteed: that an end was committed; a transaction that fails after its guarded UPDATE has been counted, and is
counted again when it is repeated. The truth is in the orders' own rows.
"""

from uuid import UUID

import structlog
from opentelemetry import trace
from prometheus_client import Counter

ORDERS_PLACED = Counter("orders_placed_total", "Orders accepted over HTTP; a replay is not another one.")
ORDERS_ENDED = Counter("orders_ended_total", "Orders that ended.", ["status"])
# What alerts watch begins at 0: a series that appears with its first count has not risen.
for status in ("confirmed", "rejected", "cancelled"):
    ORDERS_ENDED.labels(status)


def name_order(order_id: UUID | str) -> None:
    """From here on the request's log lines, its access line among them, and its span name this order."""
    structlog.contextvars.bind_contextvars(order_id=str(order_id), correlation_id=str(order_id))
    trace.get_current_span().set_attribute("order.id", str(order_id))
