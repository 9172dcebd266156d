"""Which orders an audit judges: a temporary table of one transaction, so that all checks judge the same ones.

Guarantee: one snapshot for all checks (REPEATABLE READ), which blocks no writer and, after the table of the orders is
made, writes nothing; all of it is undone at the end. Inside a transaction of its caller it sees what the caller sees.
Not guaranteed: anything about orders outside the scope of an audit of what is new.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from .conf import bounds, conf

FIRST_KEY = UUID(int=0)
LAST_KEY = UUID(int=2**128 - 1)

# Under way: an open message (index outbox_open), a live saga (saga_running, saga_needs_attention).
# Answered for: an operator skipped a step or a compensation, so that what it leaves standing is that person's word.
JUDGED = """
CREATE TEMPORARY TABLE audit_order ON COMMIT DROP AS
WITH under_way AS MATERIALIZED (
    SELECT correlation_id AS order_id FROM outbox_outboxmessage WHERE state = 'open'
    UNION SELECT subject_id FROM sagas_saga WHERE status IN ('running', 'needs_attention')
), answered_for AS MATERIALIZED (
    SELECT DISTINCT (detail ->> 'subject')::uuid AS order_id FROM outbox_operatoract
    WHERE target_type = 'saga' AND verb = 'skip' AND detail ? 'subject'
)
SELECT orders.id, orders.customer_id, orders.status, orders.reason, orders.currency, orders.total_minor,
       orders.sequence, orders.placed_at, orders.ended_at, orders.cancel_requested_at,
       under_way.order_id IS NOT NULL AS under_way, answered_for.order_id IS NOT NULL AS answered_for,
       orders.status <> 'pending' AND (%(at_rest)s OR (
           under_way.order_id IS NULL
           AND orders.ended_at < statement_timestamp() - make_interval(secs => %(settled_seconds)s))) AS settled
FROM {orders} AS orders
LEFT JOIN under_way ON under_way.order_id = orders.id
LEFT JOIN answered_for ON answered_for.order_id = orders.id
"""
ALL_ORDERS = "orders_order"
# What was placed since, what had a message since, and what an earlier audit found under way: each by a primary key.
NEW_ORDERS = """(
    SELECT placed.* FROM orders_order placed WHERE placed.id IN (
        SELECT id FROM orders_order WHERE id BETWEEN %(since_key)s AND %(until_key)s
        UNION SELECT correlation_id FROM outbox_outboxmessage WHERE key BETWEEN %(since_key)s AND %(until_key)s
        UNION SELECT unnest(%(carried)s::uuid[])))"""


# A few thousand orders of a million: left alone, the planner reads whole tables (minutes, not seconds).
BY_INDEX = "SELECT set_config('enable_seqscan', 'off', true), set_config('random_page_cost', '1', true)"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """`since` None: everything. `carried` are orders that an earlier audit could not judge yet."""

    at_rest: bool = False
    since: datetime | None = None
    until: datetime | None = None
    # None: the setting's.
    timeout_seconds: int | None = None
    carried: Sequence[UUID] = field(default=())

    @property
    def is_whole(self) -> bool:
        return self.since is None

    def parameters(self) -> dict[str, Any]:
        """What the checks' SQL may name."""
        return {
            **bounds(),
            "at_rest": self.at_rest,
            "settled_seconds": conf().settled_seconds,
            "since_key": first_key_of(self.since) if self.since else FIRST_KEY,
            "until_key": first_key_of(self.until) if self.until else LAST_KEY,
            "carried": list(self.carried),
        }


@contextmanager
def judged(scope: Scope) -> Iterator[None]:
    """Inside, the table audit_order holds the orders of this scope, and nothing can be written."""
    nested = connection.in_atomic_block
    with transaction.atomic():
        _bound_and_fix_the_snapshot(scope, nested=nested)
        with connection.cursor() as cursor:
            orders = ALL_ORDERS if scope.is_whole else NEW_ORDERS
            cursor.execute(JUDGED.format(orders=orders), scope.parameters())
            cursor.execute("CREATE UNIQUE INDEX audit_order_by_id ON audit_order (id)")
            cursor.execute("ANALYZE audit_order")
            if not scope.is_whole:
                cursor.execute(BY_INDEX)
            cursor.execute("SET TRANSACTION READ ONLY")
        yield
        # Nothing was written but the table: it goes, and with it every setting of this transaction.
        transaction.set_rollback(True)


def first_key_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment (RFC 9562: 48 bits of milliseconds lead)."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _bound_and_fix_the_snapshot(scope: Scope, *, nested: bool) -> None:
    seconds = scope.timeout_seconds or conf().statement_timeout_seconds
    with connection.cursor() as cursor:
        if not nested:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds}s"])
        # Joins of a million orders stay in memory; compiling them costs more than it saves.
        cursor.execute("SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")
