"""What Postgres was asked, and what it wrote: pg_stat_statements sorted by what each statement does.

Guarantee: nothing is left out silently; what no kind knows is `other`, and `others` names it. Not guaranteed: that WAL
adds up to the whole: what vacuum and the server's own processes write belongs to no statement (`wal_position` has it).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from benchmarks.place import wal_position

# As they stand in pg_stat_statements, constants replaced, white space made one space, lower case. The first that
# matches names the kind.
KINDS = {
    "begin, commit": r"^(begin|commit|rollback|savepoint|release)\b",
    "ring a destination": r"insert into outbox_destination as bell",
    "answer a ring": r"update outbox_destination set rings",
    "claim": r"^with candidate as",
    "finish messages": r"update outbox_outboxmessage m set state = \$\d+, finished_at = statement_timestamp",
    "hold messages": r"^select m\.key, m\.epoch from outbox_outboxmessage m join unnest",
    "inbox": r"outbox_inboxmessage",
    "publish": r"insert into outbox_outboxmessage",
    "sagas' state": r"sagas_saga\b",
    "steps' state": r"sagas_sagastep\b",
    "stock, reservations": r"\binventory_(stockitem|reservation)\b",
    "payments": r"\bpayments_",
    "shipments": r"\bshipping_",
    "notices": r"\bnotifications_|\bauth_user\b",
    "orders, lines": r"\borders_",
    "prices": r"\binventory_product",
    "idempotency keys": r"\bidempotency_",
    "breakers": r"\bproviders_",
    "authentication": r"\bauthtoken_",
    "wake-up": r"^(notify|listen|unlisten)\b",
    "heartbeats": r"\boutbox_heartbeat",
    "sweeps, ticks": r"\b(outbox|audit)_|^select statement_timestamp",
    "sessions": r"^(set|show|select set_config|select pg_catalog\.set_config|select \$1$|deallocate|discard|close)",
}
OTHER = "other"
STATEMENTS = """
SELECT /* bench-own */ query, calls, rows, wal_bytes::bigint, wal_fpi
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database()
  AND query NOT LIKE '%bench-own%' AND query NOT LIKE '%FROM ONLY%FOR KEY SHARE%'
"""
# Full-page images, which depend on when the last checkpoint was and not on what was asked.
IMAGES = """
SELECT /* bench-own */ coalesce(sum(fpi_size), 0)::bigint
FROM pg_get_wal_stats('0/0'::pg_lsn + %s::numeric, '0/0'::pg_lsn + %s::numeric)
"""


@dataclass(frozen=True, kw_only=True)
class Count:
    """Of one kind of statement, or of several."""

    calls: int = 0
    rows: int = 0
    wal_bytes: int = 0

    def __add__(self, more: "Count") -> "Count":
        return Count(
            calls=self.calls + more.calls, rows=self.rows + more.rows, wal_bytes=self.wal_bytes + more.wal_bytes
        )

    def per_order(self, orders: int) -> dict[str, float]:
        """As a table shows it."""
        return {
            "round_trips": round(self.calls / orders, 3),
            "rows": round(self.rows / orders, 2),
            "wal_kb": round(self.wal_bytes / orders / 1000, 2),
        }


@dataclass(frozen=True, kw_only=True)
class Span:
    """What happened since the last reset: by kind, and all WAL with its full-page images."""

    kinds: Mapping[str, Count] = field(default_factory=dict)
    wal_bytes: int = 0
    image_bytes: int = 0
    others: Sequence[str] = ()

    def __add__(self, more: "Span") -> "Span":
        names = [*self.kinds, *(kind for kind in more.kinds if kind not in self.kinds)]
        return Span(
            kinds={kind: self.kinds.get(kind, Count()) + more.kinds.get(kind, Count()) for kind in names},
            wal_bytes=self.wal_bytes + more.wal_bytes,
            image_bytes=self.image_bytes + more.image_bytes,
            others=[*self.others, *more.others],
        )

    @property
    def whole(self) -> Count:
        """All statements; their WAL is without what the server wrote by itself."""
        return sum(self.kinds.values(), Count())


def begin(connection: psycopg.Connection[Any]) -> int:
    """Forgets what was counted; returns the place in the WAL to measure from."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
    connection.execute("SELECT /* bench-own */ pg_stat_statements_reset()")
    return wal_position(connection)


def since(connection: psycopg.Connection[Any], position: int) -> Span:
    """What happened since `begin` answered that place."""
    kinds: dict[str, Count] = {}
    others: list[str] = []
    for query, calls, rows, wal_bytes, _images in connection.execute(STATEMENTS):
        kind = kind_of(query)
        kinds[kind] = kinds.get(kind, Count()) + Count(calls=calls, rows=rows, wal_bytes=wal_bytes)
        if kind == OTHER:
            others.append(f"{calls} × {' '.join(query.split())[:120]}")
    now = wal_position(connection)
    images = connection.execute(IMAGES, [position, now]).fetchone() if now > position else None
    return Span(kinds=kinds, wal_bytes=now - position, image_bytes=images[0] if images else 0, others=others)


def kind_of(query: str) -> str:
    text = " ".join(query.split()).lower().replace('"', "")
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, text)), OTHER)


def by_kind(span: Span, orders: int) -> Iterator[dict[str, Any]]:
    """Rows of a table, what writes most first; what the server wrote by itself last."""
    for kind, count in sorted(span.kinds.items(), key=lambda item: (-item[1].wal_bytes, -item[1].calls)):
        yield {"statement": kind, **count.per_order(orders)}
    rest = Count(wal_bytes=max(span.wal_bytes - span.whole.wal_bytes, 0))
    yield {"statement": "no statement (vacuum, checkpoints)", **rest.per_order(orders)}
