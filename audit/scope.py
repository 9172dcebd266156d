"""Which orders an audit judges: a temporary table of one transaction, so that all checks judge the same ones.

Guarantee: one snapshot for all checks (REPEATABLE READ), which blocks no writer and, after the table of the orders is
made, writes nothing; all of it is undone at the end. Inside a transaction of its caller it sees what the caller sees.
A scope that has an end meets it, whatever the database does: every statement may take what is left, and no more.
Not guaranteed: anything about orders outside the scope of an audit of what is new.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from .conf import bounds, conf

FIRST_KEY = UUID(int=0)
LAST_KEY = UUID(int=2**128 - 1)

# Under way: an open message (index outbox_open), a live saga (saga_running, saga_needs_attention).
# Answered for: an operator skipped a step or a compensation, so that what it leaves standing is that person's word.
# An act of an older version names the saga alone; while that stands, it knows its order.
JUDGED = """
CREATE TEMPORARY TABLE audit_order ON COMMIT DROP AS
WITH under_way AS MATERIALIZED (
    SELECT correlation_id AS order_id FROM outbox_outboxmessage WHERE state = 'open'
    UNION SELECT subject_id FROM sagas_saga WHERE status IN ('running', 'needs_attention')
), answered_for AS MATERIALIZED (
    SELECT (detail ->> 'subject')::uuid AS order_id FROM outbox_operatoract
    WHERE target_type = 'saga' AND verb = 'skip' AND detail ? 'subject'
    UNION SELECT saga.subject_id FROM outbox_operatoract act
    JOIN sagas_saga saga ON saga.id = CASE WHEN act.target_type = 'saga' THEN act.target_id::uuid END
    WHERE act.target_type = 'saga' AND act.verb = 'skip' AND NOT act.detail ? 'subject'
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


class CannotJudge(Exception):
    """The database did not answer in time: whether the promises hold is unknown."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """`since` None: everything. `carried` are orders that an earlier audit could not judge yet."""

    at_rest: bool = False
    since: datetime | None = None
    until: datetime | None = None
    # None: the setting's.
    timeout_seconds: int | None = None
    # By time.monotonic: no statement of the audit takes longer than until then. None: no such moment.
    ends_at: float | None = None
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
def judged(scope: Scope) -> Iterator[datetime]:
    """Inside, the table audit_order holds the orders of this scope, and nothing can be written.

    Gives a moment, by the database's clock, at which the snapshot was not yet taken: what was found before is older.
    """
    nested = connection.in_atomic_block
    with transaction.atomic():
        snapshot_after = _bound_and_fix_the_snapshot(scope, nested=nested)
        with _ends(scope):
            _list_the_orders(scope)
            yield snapshot_after
        # Nothing was written but the table: it goes, and with it every setting of this transaction.
        transaction.set_rollback(True)


@contextmanager
def bounded(*, ends_at: float, timeout_seconds: float) -> Iterator[None]:
    """A transaction that keeps nothing, and whose statements take that long at most, and never longer than until then.

    Raises CannotJudge before a statement for which no time is left.
    """
    with transaction.atomic():
        with connection.execute_wrapper(partial(_within, ends_at, timeout_seconds)):
            yield
        transaction.set_rollback(True)


def first_key_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment (RFC 9562: 48 bits of milliseconds lead)."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _list_the_orders(scope: Scope) -> None:
    with connection.cursor() as cursor:
        orders = ALL_ORDERS if scope.is_whole else NEW_ORDERS
        cursor.execute(JUDGED.format(orders=orders), scope.parameters())
        cursor.execute("CREATE UNIQUE INDEX audit_order_by_id ON audit_order (id)")
        cursor.execute("ANALYZE audit_order")
        if not scope.is_whole:
            cursor.execute(BY_INDEX)
        cursor.execute("SET TRANSACTION READ ONLY")


def _bound_and_fix_the_snapshot(scope: Scope, *, nested: bool) -> datetime:
    with connection.cursor() as cursor:
        if not nested:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # The first query takes the snapshot, after its statement's time.
        cursor.execute(
            "SELECT statement_timestamp(), set_config('statement_timeout', %s, true)", [f"{_timeout(scope)}s"]
        )
        moment: datetime = cursor.fetchone()[0]
        # Joins of a million orders stay in memory; compiling them costs more than it saves.
        cursor.execute("SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")
    return moment


def _timeout(scope: Scope) -> int:
    return scope.timeout_seconds or conf().statement_timeout_seconds


def _ends(scope: Scope) -> AbstractContextManager[None]:
    if scope.ends_at is None:
        return nullcontext()
    return connection.execute_wrapper(partial(_within, scope.ends_at, _timeout(scope)))


def _within(
    ends_at: float,
    timeout_seconds: float,
    execute: Callable[..., Any],
    *statement: Any,
) -> Any:
    """Around every statement: its timeout is what is left of the audit's time."""
    left = min(timeout_seconds, ends_at - time.monotonic())
    if left <= 0:
        raise CannotJudge("The audit's time is over.")
    # The cursor under Django's, which knows no wrappers.
    bare = statement[-1]["cursor"].cursor
    bare.execute("SELECT set_config('statement_timeout', %s, true)", [f"{max(1, int(left * 1000))}ms"])
    return execute(*statement)
