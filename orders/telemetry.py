"""The metrics of orders. Names are a contract (docs/metrics.md).

Not guaranteed: that an end was committed; a transaction that fails after its guarded UPDATE has been counted, and is
counted again when it is repeated. The truth is in the orders' own rows.
"""

from prometheus_client import Counter

ORDERS_PLACED = Counter("orders_placed_total", "Orders accepted over HTTP; a replay is not another one.")
ORDERS_ENDED = Counter("orders_ended_total", "Orders that ended.", ["status"])
# What alerts watch begins at 0: a series that appears with its first count has not risen.
for status in ("confirmed", "rejected", "cancelled"):
    ORDERS_ENDED.labels(status)
