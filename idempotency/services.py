"""Claim a key, store its answer. One SQL statement each, inside the caller's transaction.

Guarantee: of all callers with one scope and key exactly one gets to work (I2): the unique constraint lets the second
wait for the first's commit, then tells it. A claim that waits longer than lock_timeout raises KeyInUse.
Not guaranteed: that the work commits; a claim whose transaction ends otherwise has never been.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg.errors
from django.db import OperationalError, connection

from .conf import conf
from .exceptions import KeyInUse, KeyReused
from .waiting import MOMENT_SECONDS, waiting_threads

# A conflict that is gone or expired when it is read back is claimed again at most twice.
CLAIM_ATTEMPTS = 3

# Constraint one_use_per_caller_key_and_route: a twin that has not committed makes this statement wait for it.
CLAIM = """
INSERT INTO idempotency_idempotencykey
    (id, caller, method, path, key, fingerprint, headers, resource_id, created_at, expires_at)
VALUES (%(id)s, %(caller)s, %(method)s, %(path)s, %(key)s, %(fingerprint)s, '{}', '',
        statement_timestamp(), statement_timestamp() + %(lifetime)s)
ON CONFLICT (caller, key, method, path) DO NOTHING
"""

READ_BACK = """
SELECT id, fingerprint, status_code, body, headers, expires_at <= statement_timestamp()
FROM idempotency_idempotencykey
WHERE caller = %(caller)s AND key = %(key)s AND method = %(method)s AND path = %(path)s
"""

# An expired row that no purge has met yet: the new use takes its place.
TAKE_OVER = """
UPDATE idempotency_idempotencykey
SET id = %(id)s, fingerprint = %(fingerprint)s, status_code = NULL, body = NULL, headers = '{}', resource_id = '',
    created_at = statement_timestamp(), expires_at = statement_timestamp() + %(lifetime)s
WHERE id = %(expired_id)s AND expires_at <= statement_timestamp()
"""

STORE = """
UPDATE idempotency_idempotencykey
SET status_code = %(status_code)s, body = %(body)s, headers = %(headers)s, resource_id = %(resource_id)s
WHERE id = %(id)s
"""

SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', %s, true)"


@dataclass(frozen=True, kw_only=True)
class Use:
    """Who uses which key for what. `id` is this request's own, chosen before BEGIN."""

    id: UUID
    caller: str
    method: str
    path: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """An answer as it was first sent: the bytes and the headers of the allow-list."""

    status_code: int
    body: bytes
    headers: Mapping[str, str]
    resource_id: str = ""


def claim(use: Use) -> StoredAnswer | None:
    """None: the key is ours, go to work. Else the answer of the use before us. Raises KeyInUse, KeyReused."""
    try:
        return _claim_within_bounds(use)
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise KeyInUse from error
        raise


def store(use: Use, answer: StoredAnswer) -> None:
    """Stores the answer beside the claim, for every repetition until the key expires."""
    _execute(
        STORE,
        {
            "id": use.id,
            "status_code": answer.status_code,
            "body": answer.body,
            "headers": json.dumps(dict(answer.headers)),
            "resource_id": answer.resource_id,
        },
    )


def has_landed(use: Use) -> bool:
    """Whether this very use has committed: for a COMMIT whose reply was lost, on a fresh connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM idempotency_idempotencykey WHERE id = %s", [use.id])
        return cursor.rowcount == 1


def _claim_within_bounds(use: Use) -> StoredAnswer | None:
    hurried = waiting_threads.count() >= conf().waiting_threads_max
    if not hurried:
        with waiting_threads.claiming():
            return _claim(use)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        usual = cursor.fetchone()[0]
        cursor.execute(SET_LOCK_TIMEOUT, [f"{int(MOMENT_SECONDS * 1000)}ms"])
        answer = _claim(use)
        cursor.execute(SET_LOCK_TIMEOUT, [usual])
    return answer


def _claim(use: Use) -> StoredAnswer | None:
    parameters = {**vars(use), "lifetime": conf().lifetime}
    for _ in range(CLAIM_ATTEMPTS):
        if _execute(CLAIM, parameters):
            return None
        with connection.cursor() as cursor:
            cursor.execute(READ_BACK, parameters)
            row = cursor.fetchone()
        if row is None:
            continue  # purged between the two statements
        expired_id, fingerprint, status_code, body, headers, is_expired = row
        if not is_expired:
            if bytes(fingerprint) != use.fingerprint:
                raise KeyReused
            return StoredAnswer(status_code=status_code, body=bytes(body), headers=json.loads(headers))
        if _execute(TAKE_OVER, {**parameters, "expired_id": expired_id}):
            return None
    raise KeyInUse


def _execute(sql: str, parameters: Mapping[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount
