"""What a point needs besides an armed process and an order: a world made for it, and what to look at afterwards.

A scene is told what happens in this order: `prepare` (before the orders), `meanwhile` (placed, before the fault),
`afterwards` (fired and overcome, before rest), `check` (at rest; returns differences), `leave`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid_utils
from django.db import connection

from audit.models import Difference
from outbox.models import OutboxMessage
from sagas import verbs
from sagas.exceptions import VerbRefused
from sagas.models import Saga, SagaStep

from .customers import Placed
from .point import WORLD
from .stage import Stage
from .verdict import rows

WAIT_SECONDS = 60.0
PAUSE_OUTSIDE = """
INSERT INTO outbox_destination (name, slots, rings, rings_moved_at, pauses, pause_reason, paused_until)
VALUES ('ledger', 1, 0, now(), 0, '', now() + interval '5 minutes')
ON CONFLICT (name) DO UPDATE SET paused_until = excluded.paused_until
"""
GO_ON_OUTSIDE = "UPDATE outbox_destination SET paused_until = NULL WHERE name = 'ledger'"
# Long ago: older than every retention.
OLD = timedelta(days=60)
OLD_KEY = """
INSERT INTO idempotency_idempotencykey
    (id, caller, method, path, key, fingerprint, status_code, body, headers, resource_id, created_at, expires_at)
VALUES (%s, 'user:0', 'POST', '/orders', %s, '\\x00', 201, '\\x7b7d', '{}', '', now() - %s,
        now() - %s + interval '1 day')
"""
OLD_INBOX = "INSERT INTO outbox_inboxmessage (consumer, message_id, received_at) VALUES ('old', %s, now() - %s)"
OLD_SAGA = """
INSERT INTO sagas_saga (id, name, version, subject_id, status, direction, current_step, reason, data, data_version,
                        last_error, started_at, ended_at, deadline_at)
SELECT %s, name, version, %s, 'completed', direction, current_step, '', '{}', data_version, '', now() - %s, now() - %s,
       now()
FROM sagas_saga WHERE status = 'completed' LIMIT 1
"""
OLD_ROWS = """
SELECT (SELECT count(*) FROM idempotency_idempotencykey WHERE caller = 'user:0')
     + (SELECT count(*) FROM outbox_inboxmessage WHERE consumer = 'old')
     + (SELECT count(*) FROM outbox_outboxmessage WHERE destination = 'old')
"""
PURGES = ("outbox.purge", "idempotency.purge", "sagas.purge")
NEEDED = """
SELECT (SELECT count(*) FROM outbox_outboxmessage WHERE correlation_id = ANY(%(ids)s::uuid[])),
       (SELECT count(*) FROM sagas_saga WHERE subject_id = ANY(%(ids)s::uuid[])),
       (SELECT count(*) FROM idempotency_idempotencykey WHERE resource_id = ANY(%(ids)s::text[]))
"""
BEATS_TICK = "SELECT ran_at FROM outbox_tick WHERE name = 'outbox.relay'"


class Scene:
    """Nothing special."""

    def __init__(self, stage: Stage, fault: str) -> None:
        self.stage = stage
        self.fault = fault

    def prepare(self) -> None:
        """Before the orders are placed."""

    def meanwhile(self, orders: int) -> None:
        """While they are being placed."""

    def afterwards(self, placed: Sequence[Placed]) -> None:
        """The fault has fired, and what died runs again."""

    def check(self, placed: Sequence[Placed]) -> list[str]:
        """At rest: what is not as it should be."""
        return []

    def leave(self) -> None:
        """Whatever came of it."""


class FourDue(Scene):
    """Four messages for outside wait until they are due together, so that a batch has four."""

    def prepare(self) -> None:
        _execute(PAUSE_OUTSIDE)

    def meanwhile(self, orders: int) -> None:
        due = OutboxMessage.objects.filter(destination="ledger", state="open", type="order.created.v1")
        self.stage.wait(lambda: due.count() == orders, within_seconds=WAIT_SECONDS, what="four due")
        _execute(GO_ON_OUTSIDE)

    def leave(self) -> None:
        _execute(GO_ON_OUTSIDE)


class TriedAgain(Scene):
    """The first attempt at the charge meets a fault: there must have been a second one."""

    def check(self, placed: Sequence[Placed]) -> list[str]:
        attempts = _steps(placed, "charge_payment").values_list("attempts", flat=True)
        return [f"the charge took {count} attempts: the fault was not met" for count in attempts if count < 2]


class RefusedConnection(TriedAgain):
    """Nobody listens at the provider's address, until the first attempt has failed."""

    def prepare(self) -> None:
        self.stage.sandbox_proxy.refuse()
        self.stage.sandbox_proxy.cut()

    def afterwards(self, placed: Sequence[Placed]) -> None:
        if self.fault == WORLD:
            failed = _steps(placed, "charge_payment").filter(status="retrying")
            self.stage.wait(failed.exists, within_seconds=WAIT_SECONDS, what="a refused connection")
        self.stage.sandbox_proxy.heal()


class CutRequest(TriedAgain):
    """The connection is cut in the middle of the request: the provider never reads all of it."""

    def prepare(self) -> None:
        self.patterns = self.stage.sandbox_proxy.landed.patterns
        self.stage.sandbox_proxy.cut_after(b"POST /payments/charges", forwards=False)

    def check(self, placed: Sequence[Placed]) -> list[str]:
        cuts = self.stage.sandbox_proxy.landed.patterns - self.patterns
        return [*super().check(placed), *([] if cuts == 1 else [f"{cuts} requests were cut"])]


class RefundsRefused(Scene):
    """The provider refuses every refund until a person has seen to it."""

    def prepare(self) -> None:
        self.stage.mood("shipping", "down")

    def meanwhile(self, orders: int) -> None:
        waiting = SagaStep.objects.filter(name="create_shipment", status="retrying", saga__status="running")
        self.stage.wait(waiting.exists, within_seconds=WAIT_SECONDS, what="a carrier that is down")
        self.stage.mood("payments", "ok", refused=1.0)
        self.stage.mood("shipping", "ok")

    def afterwards(self, placed: Sequence[Placed]) -> None:
        """I8: the refund failed, the stock is released all the same, and the order is not called rejected."""
        stuck = Saga.objects.filter(subject_id__in=[one.order_id for one in placed], status="needs_attention")
        self.stage.wait(stuck.exists, within_seconds=WAIT_SECONDS, what="a saga that needs attention")
        undone = dict(_steps(placed, "reserve_stock", "charge_payment").values_list("name", "undo_status"))
        assert undone == {"reserve_stock": "done", "charge_payment": "failed"}
        assert rows("SELECT status FROM orders_order WHERE id = %(id)s", id=placed[0].order_id) == [("pending",)]
        self.stage.mood("payments", "ok")
        saga_id = stuck.get().pk
        self.stage.wait(lambda: _is_retried(saga_id), within_seconds=WAIT_SECONDS, what="a person's retry")

    def leave(self) -> None:
        self.stage.mood("payments", "ok")
        self.stage.mood("shipping", "ok")


class OneHint(Scene):
    """The provider's webhook arrives, and is noted once."""

    def check(self, placed: Sequence[Placed]) -> list[str]:
        hints = OutboxMessage.objects.filter(
            correlation_id__in=[one.order_id for one in placed], destination="payments.reread"
        )
        self.stage.wait(
            lambda: hints.filter(state="done").count() >= len(placed), within_seconds=WAIT_SECONDS, what="the hint"
        )
        return [] if hints.count() == len(placed) else [f"{hints.count()} hints for {len(placed)} events"]


class OldRows(Scene):
    """Rows beyond every retention, and the purges' ticks due: before the fault, and after it."""

    def prepare(self) -> None:
        old = datetime.now(UTC) - OLD
        OutboxMessage.objects.create(
            key=_old_uuid(old),
            message_id=_old_uuid(old),
            destination="old",
            type="test.old.v1",
            aggregate_type="test",
            aggregate_id=_old_uuid(old),
            correlation_id=_old_uuid(old),
            sequence=1,
            payload={},
            headers={},
            state="done",
            due_at=old,
            created_at=old,
            finished_at=old,
        )
        _execute(OLD_KEY, uuid_utils.uuid7(), str(uuid_utils.uuid7()), OLD, OLD)
        _execute(OLD_INBOX, uuid_utils.uuid7(), OLD)
        _make_due(PURGES)

    def afterwards(self, placed: Sequence[Placed]) -> None:
        _make_due(PURGES)

    def check(self, placed: Sequence[Placed]) -> list[str]:
        """I14: what is old goes, what is young stays."""
        self.stage.wait(lambda: rows(OLD_ROWS) == [(0,)], within_seconds=WAIT_SECONDS, what="the end of old rows")
        [(messages, sagas, keys)] = rows(NEEDED, ids=[one.order_id for one in placed])
        is_there = messages >= 8 and (sagas, keys) == (len(placed), len(placed))
        return [] if is_there else [f"{messages} messages, {sagas} sagas and {keys} keys are left of {len(placed)}"]


class Beat(Scene):
    """Beat runs too, and ticks again after the fault."""

    def prepare(self) -> None:
        self.stage.start_beside("beat")

    def afterwards(self, placed: Sequence[Placed]) -> None:
        before = rows(BEATS_TICK)
        self.stage.wait(lambda: rows(BEATS_TICK) != before, within_seconds=WAIT_SECONDS, what="beat's next tick")


class BooksDue(Scene):
    """The comparison with the providers' books is due: before the fault, and after it."""

    def prepare(self) -> None:
        _make_due(["audit.reconcile"])

    def afterwards(self, placed: Sequence[Placed]) -> None:
        _make_due(["audit.reconcile"])

    def check(self, placed: Sequence[Placed]) -> list[str]:
        """Compared to the end, and no difference is left: what a crash left half known was closed or repaired."""
        self.stage.wait(self._agrees, within_seconds=WAIT_SECONDS, what="the end of the comparison")
        dead = OutboxMessage.objects.filter(destination__startswith="audit.reconcile_", state="dead").count()
        return [f"{dead} messages of the comparison are dead"] if dead else []

    def _agrees(self) -> bool:
        """Asked again while a difference is open."""
        if OutboxMessage.objects.filter(destination__startswith="audit.reconcile_", state="open").exists():
            return False
        if not Difference.objects.filter(state=Difference.State.OPEN).exists():
            return True
        _make_due(["audit.reconcile"])
        return False


SCENES: Mapping[str, type[Scene]] = {
    "": Scene,
    "four_due": FourDue,
    "tried_again": TriedAgain,
    "refused_connection": RefusedConnection,
    "cut_request": CutRequest,
    "refunds_refused": RefundsRefused,
    "one_hint": OneHint,
    "old_rows": OldRows,
    "beat": Beat,
    "books_due": BooksDue,
}


def _steps(placed: Sequence[Placed], *names: str) -> Any:
    return SagaStep.objects.filter(saga__subject_id__in=[one.order_id for one in placed], name__in=names)


def _is_retried(saga_id: UUID) -> bool:
    """A person is told to come back while the refused call may still be in flight (I13)."""
    try:
        return verbs.perform("retry", saga_id, who=None, reason="the provider takes refunds again")
    except VerbRefused:
        return False


def _execute(sql: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _make_due(ticks: Sequence[str]) -> None:
    """Their next run is now: nobody remembers the last one."""
    _execute("DELETE FROM outbox_tick WHERE name = ANY(%s)", list(ticks))


def _old_uuid(moment: datetime) -> UUID:
    """A UUIDv7 of that moment."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (uuid_utils.uuid7().int & ((1 << 80) - 1)))
