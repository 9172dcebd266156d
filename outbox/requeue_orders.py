"""Requeue orders: a person says which dead messages, a tick makes them due again, so many a second.

Guarantee: an order takes what was dead when it was given, each message at most once: messages and the order's count
change in one transaction, under the order's row lock, and a message carries the order that took it. A crash between two
batches, or two ticks at once, changes nothing of that (I4). Not guaranteed: the rate to the second; a tick that comes
late makes up for at most BURST_SECONDS.
"""

import json
from uuid import UUID

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from . import acts, dead_letters, failure, once, operations
from .acts import Person
from .choice import COUNTED_MAX, Choice
from .exceptions import AlreadyActed, VerbRefused
from .models import RequeueOrder

log = structlog.get_logger(__name__)

RATE_DEFAULT = 50
RATE_MAX = 1_000
# One transaction holds this many row locks at most.
BATCH_MAX = 200
# What a beat that stood still, or an order that was paused, may catch up with.
BURST_SECONDS = 5
NOTHING_DEAD = "There is no such dead message (any more) that a requeue may take."
UNDER_WAY = "one_requeue_order_under_way_per_choice"
SAME_FORM = "outbox_requeueorder_pkey"

# What the rate allows by now, by the database's clock (F6); what is older than a burst is forgotten.
ALLOWED = f"""
SELECT floor(rate_per_second * extract(epoch FROM statement_timestamp()
             - greatest(paced_until, statement_timestamp() - interval '{BURST_SECONDS} seconds')))
FROM outbox_requeueorder WHERE id = %s
"""
COUNT = f"""
UPDATE outbox_requeueorder
SET requeued = requeued + %(requeued)s,
    paced_until = greatest(paced_until, statement_timestamp() - interval '{BURST_SECONDS} seconds')
                  + make_interval(secs => %(taken)s::float8 / rate_per_second)
WHERE id = %(id)s
"""

# Index outbox_requeued.
BECAME = """
SELECT state, count(*) FROM (SELECT state FROM outbox_outboxmessage WHERE requeued_by = %s LIMIT %s) looked_at
GROUP BY state
"""


def place(choice: Choice, *, rate_per_second: int, who: Person, reason: str) -> RequeueOrder:
    """Gives an order, and leaves the operator act. Raises VerbRefused: nothing to do, or the same is under way;
    AlreadyActed when the same form has ordered it before, whatever became of that order (F14).
    """
    order_id = id_of(choice)
    if RequeueOrder.objects.filter(pk=order_id).exists():
        raise AlreadyActed
    if not 1 <= rate_per_second <= RATE_MAX:
        raise VerbRefused(f"the rate is 1 to {RATE_MAX:,} messages a second.")
    while dead_letters.mark_unmarked() == dead_letters.UNMARKED_BATCH:
        pass
    found = dead_letters.chosen(choice).filter(order_free=False)[:COUNTED_MAX].count()
    if not found:
        raise VerbRefused(NOTHING_DEAD)
    try:
        with transaction.atomic():
            order = _written(order_id, choice, rate_per_second=rate_per_second, who=who, reason=reason, found=found)
            acts.act(
                who=who,
                verb="order requeue",
                target=order,
                reason=reason,
                **choice.given(),
                found=found,
                rate_per_second=rate_per_second,
            )
    except IntegrityError as error:
        if SAME_FORM in str(error):
            raise AlreadyActed from error
        if UNDER_WAY not in str(error):
            raise
        raise VerbRefused(f"a requeue of {choice} is under way already: {under_way(choice)}.") from error
    return order


def id_of(choice: Choice) -> UUID:
    """The id of an order for this choice: the same one each time within a form, a new one without."""
    return once.act_id("order requeue", "choice", json.dumps(choice.given(), sort_keys=True))


def under_way(choice: Choice) -> UUID | None:
    """The order for exactly this choice that has not ended."""
    orders = RequeueOrder.objects.filter(
        status__in=[RequeueOrder.Status.OPEN, RequeueOrder.Status.PAUSED],
        error_fingerprint=choice.error_fingerprint,
        destination=choice.destination,
        type=choice.type,
    )
    return orders.values_list("pk", flat=True).first()


def work() -> int:
    """Works off every open order as far as its rate allows; returns how many messages were made due.

    One that meets trouble, a row that somebody holds, is logged and waits for the next tick; the others go on.
    """
    orders = RequeueOrder.objects.filter(status=RequeueOrder.Status.OPEN).order_by("pk")
    return sum(_work_off_guarded(pk) for pk in list(orders.values_list("pk", flat=True)))


def _work_off_guarded(pk: UUID) -> int:
    try:
        return _work_off(pk)
    except Exception as error:
        log.warning("outbox.requeue_troubled", requeue_order=str(pk), error=failure.describe(error))
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return 0


def pause(pk: UUID, *, who: Person, reason: str) -> bool:
    """Holds an open order; what it has made due stays due."""
    return _move(pk, RequeueOrder.Status.PAUSED, verb="pause", who=who, reason=reason)


def resume(pk: UUID, *, who: Person, reason: str) -> bool:
    """Lets a paused order go on."""
    return _move(pk, RequeueOrder.Status.OPEN, verb="resume", who=who, reason=reason)


def cancel(pk: UUID, *, who: Person, reason: str) -> bool:
    """Ends an order; what it has made due stays due, what it has not stays dead."""
    return _move(pk, RequeueOrder.Status.CANCELLED, verb="cancel", who=who, reason=reason)


def outcome(order: RequeueOrder) -> dict[str, int]:
    """What became of the messages that an order made due, by state; of more than COUNTED_MAX, that of some."""
    with connection.cursor() as cursor:
        cursor.execute(BECAME, [order.pk, COUNTED_MAX])
        return dict(cursor.fetchall())


def _written(pk: UUID, choice: Choice, *, rate_per_second: int, who: Person, reason: str, found: int) -> RequeueOrder:
    order = RequeueOrder.objects.create(
        id=pk,
        who_id=who.pk if who is not None else None,
        reason=reason.strip()[:500],
        rate_per_second=rate_per_second,
        found=found,
        error_pattern=dead_letters.pattern(choice.error_fingerprint),
        **choice.given(),
    )
    order.refresh_from_db()  # its times are the database's
    return order


def _work_off(pk: UUID) -> int:
    total = 0
    while taken := _take_batch(pk):
        total += taken
        if taken < BATCH_MAX:
            break
    return total


@transaction.atomic
def _take_batch(pk: UUID) -> int:
    """The next messages of an order, at most BATCH_MAX. Skips an order that another tick is at."""
    order = RequeueOrder.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        pk=pk, status=RequeueOrder.Status.OPEN
    ).select_related("who").first()  # fmt: skip
    if order is None:
        return 0
    limit = min(_allowed(order), BATCH_MAX)
    if limit < 1:
        return 0
    keys = _next_keys(order, limit)
    requeued = operations.requeue(keys, who=order.who, reason=order.reason, ordered=order) if keys else 0
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"id": pk, "requeued": requeued, "taken": len(keys)})
    if len(keys) < limit:
        RequeueOrder.objects.filter(pk=pk).update(status=RequeueOrder.Status.DONE, ended_at=Now())
    return len(keys)


def _next_keys(order: RequeueOrder, limit: int) -> list[UUID]:
    """Of what was dead when it was ordered, the oldest; index outbox_dead_by_error or outbox_dead."""
    left = dead_letters.chosen(order.choice).filter(
        Q(requeued_by=None) | ~Q(requeued_by=order.pk), order_free=False, died_at__lte=order.ordered_at
    )
    return list(left.order_by("key").values_list("key", flat=True)[:limit])


def _allowed(order: RequeueOrder) -> int:
    with connection.cursor() as cursor:
        cursor.execute(ALLOWED, [order.pk])
        return int(cursor.fetchone()[0])


@transaction.atomic
def _move(pk: UUID, status: RequeueOrder.Status, *, verb: str, who: Person, reason: str) -> bool:
    """Changes an order's status, if it may follow; False when it is there already."""
    order = RequeueOrder.objects.select_for_update().get(pk=pk)
    if order.status == status:
        return False
    if status not in RequeueOrder.TRANSITIONS[RequeueOrder.Status(order.status)]:
        raise VerbRefused(f"not applicable: the requeue order is {order.status}.")
    # What was paused does not make up for its pause.
    changes = {"paced_until": Now()} if status == RequeueOrder.Status.OPEN else {}
    ended = {"ended_at": Now()} if status == RequeueOrder.Status.CANCELLED else {}
    RequeueOrder.objects.filter(pk=pk).update(status=status, **changes, **ended)
    acts.act(who=who, verb=verb, target=order, reason=reason, requeued=order.requeued, found=order.found)
    return True
