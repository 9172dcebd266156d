"""Operator verbs and upkeep on messages: requeue, skip, resume, park, bury what is spent, purge.

Each act of a person leaves an OperatorAct in the same transaction. A second click finds it done and changes nothing.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from . import acts, claim, failure, routing, wakeup
from .acts import Person
from .conf import conf
from .models import Destination, InboxMessage, OutboxMessage, RequeueOrder

PURGE_BATCH_SIZE = 1_000
# One sweep ends soon, however many wait; the next one goes on.
PARK_MAX = 10_000
# Who wants to know how far long work has come.
Told = Callable[[int], None]


def nobody_asks(count: int) -> None:
    """For work that nobody watches."""


def requeue(
    keys: Sequence[UUID], *, who: Person, reason: str, sent: bool = False, ordered: RequeueOrder | None = None
) -> int:
    """Makes dead (with `sent`, also done or skipped) messages due again with all their attempts; returns how many.

    One that a requeue order takes carries its id, and is not taken by the same order again.

    Consumers that have handled a message ignore it (I5). What was parked behind it becomes due too. A saga's message is
    left alone: the saga waits for another one by now, and its own verbs (retry) make the next (I6).
    """
    states = [OutboxMessage.State.DEAD]
    if sent:
        states += [OutboxMessage.State.DONE, OutboxMessage.State.SKIPPED]
    eligible = Q(state__in=states, order_free=False)
    changes = {"state": OutboxMessage.State.OPEN, "due_at": Now(), "attempts": 0, "finished_at": None}
    # It is not dead any more. When it dies again, that is when it died, and of what.
    changes |= {"died_at": None, "error_fingerprint": ""}
    if ordered is not None:
        eligible &= Q(died_at__lte=ordered.ordered_at) & (Q(requeued_by=None) | ~Q(requeued_by=ordered.pk))
        changes["requeued_by"] = ordered.pk
    return _change(keys, eligible, {**changes, "claimed_at": None}, who=who, verb="requeue", reason=reason)


def skip(keys: Sequence[UUID], *, who: Person, reason: str) -> int:
    """Ends open or dead messages undone, so that what waits behind them goes on; returns how many.

    A message that a saga waits for is left alone (I11): skipping the step is the saga's verb.
    """
    return _change(
        keys,
        Q(state=OutboxMessage.State.DEAD) | Q(state=OutboxMessage.State.OPEN, order_free=False),
        {"state": OutboxMessage.State.SKIPPED, "finished_at": Now(), "claimed_at": None},
        who=who,
        verb="skip",
        reason=reason,
    )


@transaction.atomic
def _change(
    keys: Sequence[UUID],
    eligible: Q,
    changes: dict[str, Any],
    *,
    who: Person,
    verb: str,
    reason: str,
) -> int:
    rows = list(OutboxMessage.objects.select_for_update().filter(eligible, key__in=keys).order_by("key"))
    if not rows:
        return 0
    found = [row.key for row in rows]
    # A claim that is still under way is fenced off by the new epoch (I6).
    OutboxMessage.objects.filter(key__in=found).update(**changes, epoch=F("epoch") + 1)
    OutboxMessage.objects.all().unpark_followers(found)
    ordered = {"requeue_order": str(changes["requeued_by"])} if "requeued_by" in changes else {}
    acts.write(
        acts.prepared(
            who=who, verb=verb, target=("outboxmessage", str(row.key)), reason=reason, **_about(row), **ordered
        )
        for row in rows
    )
    wakeup.after_commit({row.destination for row in rows})
    return len(found)


def _about(message: OutboxMessage) -> dict[str, str]:
    """What the message was about, for when it is purged: the act stays."""
    return {
        "destination": message.destination,
        "type": message.type,
        "correlation_id": str(message.correlation_id),
    }


def hold_open(message_id: UUID) -> bool:
    """Locks an open message until the caller's transaction ends; False when it is not open (any more)."""
    held = OutboxMessage.objects.select_for_update().filter(message_id=message_id, state=OutboxMessage.State.OPEN)
    return bool(held.values_list("key", flat=True))


def hasten(message_id: UUID) -> bool:
    """Makes an open message due now, unless somebody is at work on it; tells whether it did."""
    waiting = OutboxMessage.objects.filter(
        message_id=message_id, state=OutboxMessage.State.OPEN, claimed_at=None, due_at__gt=Now()
    )
    destinations = set(waiting.values_list("destination", flat=True))
    hastened = waiting.update(due_at=Now())
    if hastened:
        wakeup.after_commit(destinations)
    return bool(hastened)


def withdraw(message_id: UUID) -> None:
    """Ends an open message undone: its owner replaces it. A claim under way is fenced off (I6)."""
    OutboxMessage.objects.filter(message_id=message_id, state=OutboxMessage.State.OPEN).update(
        state=OutboxMessage.State.SKIPPED, finished_at=Now(), claimed_at=None, epoch=F("epoch") + 1
    )


def resume_destination(name: str, *, who: Person, reason: str) -> bool:
    """Ends a destination's pause by hand, so that what is due is tried at once; False when it is not paused."""
    with transaction.atomic():
        paused = Destination.objects.filter(Q(paused_until__isnull=False) | Q(pauses__gt=0), name=name)
        if not paused.update(paused_until=None, pauses=0, pause_reason=""):
            return False
        acts.act(who=who, verb="resume", target=("destination", name), reason=reason)
    wakeup.after_commit({name})
    return True


def park() -> int:
    """Moves what waits behind dead or backing-off heads out of the due range, at most PARK_MAX rows (engine: Order)."""
    names = [d.name for d in routing.all_inside()] + [d.name for d in routing.all_outside()]
    return OutboxMessage.objects.all().park(names, limit=PARK_MAX)


def bury_spent() -> int:
    """Buries messages whose every attempt ended without a word: their process died each time (F9)."""
    inside = {destination.name: destination for destination in routing.all_inside()}
    names = [*inside, *(destination.name for destination in routing.all_outside())]
    messages = claim.claim_spent(names)
    ends = {
        key: _reason(attempts, error, is_silent=claimed_at is not None)
        for key, attempts, error, claimed_at in OutboxMessage.objects.filter(
            key__in=[message.key for message in messages]
        ).values_list("key", "attempts", "last_error", "claimed_at")
    }
    for message in messages:
        failure.bury(inside.get(message.destination), [message], error=ends.get(message.key, ""))
    return len(messages)


def _reason(attempts: int, last_error: str, *, is_silent: bool) -> str:
    """Why a spent message is dead. Whoever gives a message back says so in `claimed_at`; where nobody did, an error on
    record is of an earlier attempt, or of a batch that it was part of."""
    if not is_silent:
        return last_error or f"{attempts} attempts, and none of them told why it failed"
    if not last_error:
        return f"{attempts} attempts ended without an answer: the process died or hung each time"
    last = f"the last of {attempts} attempts ended without an answer: its process died or hung"
    return f"{last}; an earlier one: {last_error}"


def purge(
    *,
    older_than: timedelta | None = None,
    batch_size: int = PURGE_BATCH_SIZE,
    batches: int | None = None,
    dry_run: bool = False,
    told: Told = nobody_asks,
) -> int:
    """Deletes done and skipped messages that ended longer ago than that, at most so many batches (I14).

    Returns how many.
    """
    ended_before = _database_time_before(timedelta(days=conf().retention_days) if older_than is None else older_than)
    if dry_run:
        ended = OutboxMessage.objects.filter(state__in=["done", "skipped"], finished_at__lt=ended_before)
        return ended.count()
    return _in_batches(_batches_of_messages(ended_before, batch_size), batch_size, most=batches, told=told)


def purge_inbox(
    *,
    older_than: timedelta | None = None,
    batch_size: int = PURGE_BATCH_SIZE,
    batches: int | None = None,
    dry_run: bool = False,
    told: Told = nobody_asks,
) -> int:
    """Deletes inbox rows received longer ago than that, at most so many batches; returns how many.

    Longer than any redelivery (I5, I14).
    """
    received_before = _database_time_before(
        timedelta(days=conf().inbox_retention_days) if older_than is None else older_than
    )
    old = InboxMessage.objects.filter(received_at__lt=received_before)
    if dry_run:
        return old.count()
    return _in_batches(lambda: _delete_inbox_batch(received_before, batch_size), batch_size, most=batches, told=told)


def _batches_of_messages(ended_before: datetime, batch_size: int) -> Callable[[], int]:
    """Deletes the next batch at each call."""
    after = UUID(int=0)

    def delete() -> int:
        nonlocal after
        deleted = OutboxMessage.objects.all().purge_batch(ended_before=ended_before, after=after, limit=batch_size)
        after = max(deleted, default=after)
        return len(deleted)

    return delete


def _in_batches(delete: Callable[[], int], batch_size: int, *, most: int | None, told: Told) -> int:
    """So many batches at most, resting between two for as long as the one before took: what people wait for goes
    first."""
    total, began = 0, time.monotonic()
    for number in count() if most is None else range(most):
        if number:
            time.sleep(time.monotonic() - began)
        began = time.monotonic()
        deleted = delete()
        total += deleted
        told(deleted)
        if deleted < batch_size:
            break
    return total


def _database_time_before(age: timedelta) -> datetime:
    """That long ago by the database's clock: a host whose clock is ahead must not delete what is young (F6)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp() - make_interval(secs => %s)", [age.total_seconds()])
        moment: datetime = cursor.fetchone()[0]
    return moment


def _delete_inbox_batch(received_before: datetime, limit: int) -> int:
    # The BRIN index on received_at keeps this to the oldest pages.
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM outbox_inboxmessage WHERE ctid = ANY(ARRAY("
            "SELECT ctid FROM outbox_inboxmessage WHERE received_at < %s LIMIT %s))",
            [received_before, limit],
        )
        return cursor.rowcount
