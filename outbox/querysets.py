"""The verbs on outbox rows: one SQL statement each, guarded by the claim's epoch (I6).

What a verb returns is what it changed; rows that another claim, an operator or time took over are left out, and the
caller leaves them alone. Times are the database's (F6). A verb takes (key, epoch) pairs: `claims_of(messages)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

from . import low_water, telemetry
from .envelope import Message
from .error_text import fingerprint_of, one_line

MESSAGE_COLUMNS = (
    "key, message_id, destination, type, payload, headers, aggregate_type, aggregate_id, sequence,"
    " correlation_id, attempts, epoch, created_at, scheduled_for"
)

# Index outbox_open gives candidates in insertion order; outbox_unfinished_by_aggregate answers "is it the head?".
# A row that was tried before is taken alone, so what kills its process takes no neighbour along (F9).
CLAIM = f"""
WITH candidate AS MATERIALIZED (
    SELECT m.key, m.id, m.attempts, m.claimed_at
    FROM outbox_outboxmessage m
    WHERE m.destination = %(destination)s AND m.state = 'open' AND m.id >= %(since)s
      AND m.due_at <= statement_timestamp()
      AND (%(types)s::text[] IS NULL OR m.type = ANY(%(types)s)) AND m.attempts < %(max_attempts)s
      AND (m.order_free OR NOT EXISTS (
          SELECT FROM outbox_outboxmessage earlier
          WHERE earlier.destination = m.destination AND earlier.aggregate_id = m.aggregate_id
            AND earlier.id < m.id AND earlier.state IN ('open', 'dead') AND NOT earlier.order_free))
    ORDER BY m.id
    LIMIT %(limit)s
    FOR UPDATE OF m SKIP LOCKED
), chosen AS (
    SELECT key, claimed_at FROM candidate
    WHERE CASE WHEN (SELECT attempts FROM candidate ORDER BY id LIMIT 1) > 0
          THEN id = (SELECT min(id) FROM candidate) ELSE attempts = 0 END
)
UPDATE outbox_outboxmessage m
SET attempts = m.attempts + 1, epoch = m.epoch + 1,
    claimed_at = statement_timestamp(), due_at = statement_timestamp() + %(claim_time)s
FROM chosen WHERE m.key = chosen.key
RETURNING {", ".join("m." + column for column in MESSAGE_COLUMNS.split(", "))}, chosen.claimed_at IS NOT NULL, m.id
"""

# A killer message: its attempts are used up and its last claim ran out without a word.
CLAIM_SPENT = f"""
WITH spent AS MATERIALIZED (
    SELECT key FROM outbox_outboxmessage
    WHERE destination = ANY(%(destinations)s) AND state = 'open' AND due_at <= statement_timestamp()
      AND attempts >= %(max_attempts)s
    ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE outbox_outboxmessage m SET epoch = m.epoch + 1, due_at = statement_timestamp() + interval '15 seconds'
FROM spent WHERE m.key = spent.key
RETURNING {", ".join("m." + column for column in MESSAGE_COLUMNS.split(", "))}, m.id
"""

# What a claim still holds, locked in one order by everybody who takes several of these locks.
HOLD = """
SELECT m.key, m.epoch FROM outbox_outboxmessage m
JOIN unnest(%(keys)s::uuid[], %(epochs)s::int[]) AS claim(key, epoch)
  ON m.key = claim.key AND m.epoch = claim.epoch
WHERE m.state = ANY(%(states)s)
ORDER BY m.key FOR UPDATE OF m
"""

FINISH = f"""
WITH mine AS MATERIALIZED ({HOLD})
UPDATE outbox_outboxmessage m SET state = 'done', finished_at = statement_timestamp(), last_error = ''
FROM mine WHERE m.key = mine.key
RETURNING m.key, m.epoch
"""

# A failure puts back what is open; a consumer that says "later" also what this very transaction has finished. After a
# COMMIT whose reply was lost the row may be done for good, and a failure must leave it so. No new error, no new text: a
# failed row keeps its history (S7).
PUT_BACK = f"""
WITH mine AS MATERIALIZED ({HOLD})
UPDATE outbox_outboxmessage m
SET state = 'open', finished_at = NULL, claimed_at = NULL,
    due_at = statement_timestamp() + claim.after, attempts = greatest(m.attempts - claim.given_back, 0),
    last_error = coalesce(nullif(claim.error, ''), m.last_error)
FROM mine JOIN unnest(%(keys)s::uuid[], %(afters)s::interval[], %(given_back)s::int[], %(errors)s::text[])
  AS claim(key, after, given_back, error) ON claim.key = mine.key
WHERE m.key = mine.key
RETURNING m.key
"""

BURY = f"""
WITH mine AS MATERIALIZED ({HOLD})
UPDATE outbox_outboxmessage m
SET state = 'dead', claimed_at = NULL, last_error = %(error)s, error_fingerprint = %(fingerprint)s,
    died_at = statement_timestamp()
FROM mine WHERE m.key = mine.key
RETURNING m.key, m.epoch
"""

# The rows behind a dead or backing-off head wait as long as it does, out of the due range: left there, a hundred
# thousand of them made every claim walk past them all. Behind a head that somebody is at work on they stay: it is
# done in a moment, while its due_at is the end of its claim. Two statements in one transaction: the second one sees
# the heads as they are once they are locked, so that none is taken for dead that an operator has just made due.
# Index outbox_open finds what is due, outbox_unfinished_by_aggregate each one's head.
HEADS_TO_WAIT_FOR = """
SELECT head.key FROM outbox_outboxmessage head
WHERE head.key IN (
    SELECT first.key FROM outbox_outboxmessage m CROSS JOIN LATERAL (
        SELECT e.key, e.id FROM outbox_outboxmessage e
        WHERE e.destination = m.destination AND e.aggregate_id = m.aggregate_id
          AND e.state IN ('open', 'dead') AND NOT e.order_free
        ORDER BY e.id LIMIT 1) first
    WHERE m.destination = ANY(%(destinations)s) AND m.state = 'open' AND NOT m.order_free
      AND m.due_at <= statement_timestamp() AND first.id < m.id)
  AND (head.state = 'dead' OR (head.state = 'open' AND head.due_at > statement_timestamp() AND head.claimed_at IS NULL))
ORDER BY head.key FOR UPDATE SKIP LOCKED
"""

PARK = """
WITH waiting AS MATERIALIZED (
    SELECT m.key, head.state, head.due_at
    FROM outbox_outboxmessage head JOIN outbox_outboxmessage m
      ON m.destination = head.destination AND m.aggregate_id = head.aggregate_id AND m.id > head.id
    WHERE head.key = ANY(%(heads)s::uuid[])
      AND (head.state = 'dead'
           OR (head.state = 'open' AND head.due_at > statement_timestamp() AND head.claimed_at IS NULL))
      AND m.state = 'open' AND NOT m.order_free AND m.due_at <= statement_timestamp()
    ORDER BY m.key LIMIT %(limit)s FOR UPDATE OF m SKIP LOCKED
)
UPDATE outbox_outboxmessage m
SET due_at = CASE WHEN waiting.state = 'dead' THEN statement_timestamp() + interval '5 minutes'
             ELSE least(waiting.due_at, statement_timestamp() + interval '5 minutes') END
FROM waiting WHERE m.key = waiting.key
"""

# Never a row that is unfinished (I4, I14); a UUIDv7 key is older than its end, so the primary key bounds the scan. It
# begins where the batch before ended: from the first key on, each batch would walk past all that were deleted before
# it. The rows are locked, so their places (ctid) stay what they are within the statement.
PURGE = """
DELETE FROM outbox_outboxmessage WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM outbox_outboxmessage
    WHERE key > %(after)s
      AND key < %(oldest_kept_key)s AND state IN ('done', 'skipped') AND finished_at < %(ended_before)s
    ORDER BY key LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING key
"""

# What waited behind these heads waits no longer; a scheduled row keeps its own time.
UNPARK = """
WITH waiting AS MATERIALIZED (
    SELECT follower.key
    FROM outbox_outboxmessage head JOIN outbox_outboxmessage follower
      ON follower.destination = head.destination AND follower.aggregate_id = head.aggregate_id
      AND follower.id > head.id
    WHERE head.key = ANY(%(keys)s::uuid[])
      AND follower.state = 'open' AND NOT follower.order_free AND follower.attempts = 0
    ORDER BY follower.key FOR UPDATE OF follower
)
UPDATE outbox_outboxmessage follower
SET due_at = greatest(statement_timestamp(), coalesce(follower.scheduled_for, statement_timestamp()))
FROM waiting WHERE follower.key = waiting.key
"""


class OutboxMessageQuerySet(models.QuerySet):
    def claim(
        self, destination: str, *, types: Sequence[str] | None, limit: int, claim_time: timedelta, max_attempts: int
    ) -> list[Message]:
        """Claims due heads of one destination, at most `limit`, in insertion order; counts the attempt first (F9).

        Autocommit: the claim is lease, attempt count and fence at once, and ends by the clock whatever froze.
        """
        wanted = {
            "destination": destination,
            "types": None if types is None else list(types),
            "limit": limit,
            "claim_time": claim_time,
            "max_attempts": max_attempts,
        }
        since = low_water.mark(destination)
        rows = _fetch(CLAIM, {**wanted, "since": since})
        if not rows and since:
            rows = _fetch(CLAIM, {**wanted, "since": (since := low_water.EVERYWHERE)})
        low_water.note(destination, [row[-1] for row in rows], since=since, is_full=len(rows) == limit)
        rows.sort(key=lambda row: row[-1])
        # Whoever gives a message back says so in claimed_at: here a claim ran out, its owner dead or frozen.
        if taken_over := sum(row[-2] for row in rows):
            telemetry.TAKEOVERS.labels(destination).inc(taken_over)
        return [_message(row) for row in rows]

    def claim_spent(self, destinations: Sequence[str], *, max_attempts: int) -> list[Message]:
        """Claims, to bury them, messages whose attempts are used up and whose last claim ran out (F9)."""
        rows = _fetch(CLAIM_SPENT, {"destinations": list(destinations), "max_attempts": max_attempts})
        return [_message(row) for row in rows]

    def finish(self, messages: Sequence[Message]) -> list[Message]:
        """Marks claimed messages done; the first statement of the effect's transaction (I5, I6)."""
        return _still_mine(messages, _fetch(FINISH, _claims(messages)))

    def hold(self, messages: Sequence[Message]) -> list[Message]:
        """Locks claimed messages without finishing them: the fence of a transaction that only notes an intent."""
        return _still_mine(messages, _fetch(HOLD, _claims(messages)))

    def put_back(self, returns: Sequence[PutBack]) -> int:
        """Makes claimed messages due again after a while; the attempt stays counted unless it is given back."""
        return self._put_back(returns, ["open"])

    def take_back(self, returns: Sequence[PutBack]) -> int:
        """As put_back, but also from what the caller's own transaction has finished."""
        return self._put_back(returns, ["open", "done"])

    def _put_back(self, returns: Sequence[PutBack], states: Sequence[str]) -> int:
        return len(
            _fetch(
                PUT_BACK,
                {
                    **_claims([item.message for item in returns], states=states),
                    "afters": [item.after for item in returns],
                    "given_back": [int(item.gives_attempt_back) for item in returns],
                    "errors": [one_line(item.error) for item in returns],
                },
            )
        )

    def bury(self, messages: Sequence[Message], *, error: str) -> list[Message]:
        """Marks messages dead with their reason: never retried, never purged, never silent (I4)."""
        reason = {"error": one_line(error), "fingerprint": fingerprint_of(error)}
        return _still_mine(messages, _fetch(BURY, {**_claims(messages), **reason}))

    def park(self, destinations: Sequence[str], *, limit: int) -> int:
        """Moves up to `limit` rows behind a dead or backing-off head out of the due range; returns how many."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(HEADS_TO_WAIT_FOR, {"destinations": list(destinations)})
            heads = [key for (key,) in cursor.fetchall()]
            cursor.execute(PARK, {"heads": heads, "limit": limit})
            return cursor.rowcount

    def unpark_followers(self, heads: Sequence[UUID]) -> int:
        """Makes due what waited behind these rows; returns how many."""
        with connection.cursor() as cursor:
            cursor.execute(UNPARK, {"keys": list(heads)})
            return cursor.rowcount

    def purge_batch(self, *, ended_before: datetime, after: UUID, limit: int) -> list[UUID]:
        """Deletes the first done or skipped rows beyond a key that ended before then, at most `limit` (I14).

        Returns their keys.
        """
        horizon = {"oldest_kept_key": first_key_of(ended_before), "ended_before": ended_before}
        return [key for (key,) in _fetch(PURGE, {**horizon, "after": after, "limit": limit})]


@dataclass(frozen=True)
class PutBack:
    """One message that goes back, when, and whether its attempt counts."""

    message: Message
    _: KW_ONLY
    after: timedelta
    error: str = ""
    gives_attempt_back: bool


def first_key_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment (RFC 9562: 48 bits of milliseconds lead)."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _claims(messages: Sequence[Message], *, states: Sequence[str] = ("open",)) -> dict[str, Any]:
    return {"keys": [m.key for m in messages], "epochs": [m.epoch for m in messages], "states": list(states)}


def _still_mine(messages: Sequence[Message], rows: list[tuple[Any, ...]]) -> list[Message]:
    """By key and epoch: who was frozen past a claim may hold two claims of one message at once, one of them stale."""
    claims: set[tuple[UUID, int]] = {(key, epoch) for key, epoch in rows}
    return [message for message in messages if (message.key, message.epoch) in claims]


def _message(row: tuple[Any, ...]) -> Message:
    fields = dict(zip(MESSAGE_COLUMNS.split(", "), row, strict=False))
    # Django's connection leaves JSON as text; its model fields parse it, and so do we.
    return Message(**{**fields, "payload": json.loads(fields["payload"]), "headers": json.loads(fields["headers"])})


def _fetch(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
