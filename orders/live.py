"""How orders come and end, minute by minute, for the operators' live page.

Guarantee: one query, however many orders there are: the newest ORDERS_MAX of the last day, by the primary key, for a
UUIDv7 rises with its time. Minutes are those of the database's clock. Not guaranteed: the end of an order beyond them:
one placed longer ago, as one is that waited for a person, or before ORDERS_MAX others; `is_whole` tells the latter.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from outbox.querysets import first_key_of

MINUTES = 60
ORDERS_MAX = 50_000
# An order ends within a saga's deadline of 24 hours, or waits for a person.
PLACED_WITHIN = timedelta(hours=24)

# Index orders_order_pkey, walked from the newest. The ids are of the web's clocks, the minutes of the database's: so
# the ids only bound what is read, with room for clocks that differ (F6).
PACE = """
WITH lately AS MATERIALIZED (
    SELECT status, placed_at, ended_at FROM orders_order WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s
), chart AS (
    SELECT date_trunc('minute', statement_timestamp()) - make_interval(mins => %(minutes)s - 1) AS began
)
SELECT 'placed', date_trunc('minute', placed_at), count(*) FROM lately, chart WHERE placed_at >= began GROUP BY 2
UNION ALL
SELECT status, date_trunc('minute', ended_at), count(*) FROM lately, chart WHERE ended_at >= began GROUP BY 1, 2
UNION ALL
SELECT 'read', coalesce((SELECT min(placed_at) FROM lately), began), (SELECT count(*) FROM lately) FROM chart
UNION ALL
SELECT 'began', began, 0 FROM chart
"""


@dataclass(frozen=True, kw_only=True)
class Minute:
    began_at: datetime
    placed: int = 0
    confirmed: int = 0
    rejected: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        return self.confirmed + self.rejected + self.cancelled


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Minutes from the oldest; the last one is under way. Fewer than MINUTES when `is_whole` is False."""

    minutes: tuple[Minute, ...]
    is_whole: bool

    @property
    def last_full(self) -> Minute:
        return self.minutes[-2] if len(self.minutes) > 1 else self.minutes[-1]

    def total(self, what: str) -> int:
        """Of all the minutes: "placed", "confirmed", …"""
        return sum(getattr(minute, what) for minute in self.minutes)


def pace() -> Pace:
    """Orders placed, and ended by status, in each of the last minutes."""
    since = first_key_of(timezone.now() - PLACED_WITHIN)
    with connection.cursor() as cursor:
        cursor.execute(PACE, {"since": since, "most": ORDERS_MAX, "minutes": MINUTES})
        counts = {(what, moment): count for what, moment, count in cursor.fetchall()}
    [began] = [moment for what, moment in counts if what == "began"]
    [(oldest, read)] = [(moment, count) for (what, moment), count in counts.items() if what == "read"]
    is_whole = read < ORDERS_MAX or oldest < began
    # The minute of the oldest order that was read is not whole: its beginning may have had others.
    first = began if is_whole else min(_next_minute(oldest), began + timedelta(minutes=MINUTES - 1))
    times = [began + timedelta(minutes=number) for number in range(MINUTES)]
    return Pace(minutes=tuple(_minute(moment, counts) for moment in times if moment >= first), is_whole=is_whole)


def _minute(moment: datetime, counts: Mapping[tuple[str, datetime], int]) -> Minute:
    known = Counter({what: count for (what, at), count in counts.items() if at == moment})
    fields: dict[str, Any] = {name: known[name] for name in ("placed", "confirmed", "rejected", "cancelled")}
    return Minute(began_at=moment, **fields)


def _next_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
