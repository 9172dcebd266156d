"""Recovery: what no message brings about by itself.

A crash needs none of this: the claim runs out and the step runs again (S13, S19). The sweep looks for what must never
be, a live saga without an open message, and mends and counts it; and for sagas past their deadline, which get a
person's attention, never a blind undo.
"""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from outbox import operations as outbox
from outbox import pause
from outbox import selectors as messages_of
from outbox.context import about
from outbox.envelope import Message

from . import decisions, journal, telemetry
from .decisions import Case
from .models import Saga

SWEEP_BATCH_SIZE = 500

log = structlog.get_logger(__name__)


def message_died(messages: Sequence[Message]) -> None:
    """In the transaction that buries them: sagas that waited for these messages need attention."""
    for message in sorted(messages, key=lambda m: m.aggregate_id):
        case = journal.load_for_verb(message.aggregate_id)
        if case is None or case.saga.waiting_for != message.message_id:
            continue
        case.saga.last_error = f"{case.row.name}: its message is dead after {message.attempts} attempts"
        decisions.attend(case)
        journal.save([case])
        with about(message):
            log.error("saga.needs_attention", reason=case.saga.last_error)


def sweep() -> int:
    """Gives every live saga without an open message a new one; returns how many there were (none, always)."""
    mended = 0
    for batch in _pages(Saga.objects.filter(status=Saga.Status.RUNNING)):
        open_ids = messages_of.open_message_ids([waiting_for for _, waiting_for in batch if waiting_for])
        mended += _each(_mend, [saga_id for saga_id, waiting_for in batch if waiting_for not in open_ids])
    return mended


def attend_overdue() -> int:
    """Sagas past their deadline wait for a person; returns how many."""
    overdue = _pages(Saga.objects.filter(status=Saga.Status.RUNNING, deadline_at__lt=Now()))
    return sum(_each(_attend_overdue, [saga_id for saga_id, _ in batch]) for batch in overdue)


def _pages(sagas: QuerySet[Saga]) -> Iterator[list[tuple[UUID, UUID | None]]]:
    """(id, message it waits for), by id. Index saga_running."""
    after: UUID | None = None
    while True:
        left = sagas if after is None else sagas.filter(pk__gt=after)
        page = list(left.order_by("pk").values_list("pk", "waiting_for")[:SWEEP_BATCH_SIZE])
        if not page:
            return
        yield page
        after = page[-1][0]


def _each(mend: Callable[[UUID], bool], saga_ids: Sequence[UUID]) -> int:
    """How many were mended. One that cannot be (a version that this code does not know) costs only itself."""
    mended = 0
    for saga_id in saga_ids:
        try:
            mended += mend(saga_id)
        except Exception:
            log.exception("saga.recovery_failed", saga_id=str(saga_id))
    return mended


@transaction.atomic
def _mend(saga_id: UUID) -> bool:
    case = journal.load_for_verb(saga_id)
    if case is None or case.saga.waiting_for is None or messages_of.open_message_ids([case.saga.waiting_for]):
        # It moved on between the two reads.
        return False
    case.next_command = (case.saga.current_step, case.undo)
    journal.save([case])
    telemetry.RECOVERED.inc()
    log.error("saga.without_open_message", **_ids(case), step=case.saga.current_step)
    return True


@transaction.atomic
def _attend_overdue(saga_id: UUID) -> bool:
    waiting_for = Saga.objects.filter(pk=saga_id).values_list("waiting_for", flat=True).first()
    # Message before saga: the order in which everybody locks.
    if waiting_for is None or not outbox.hold_open(waiting_for):
        return False
    case = journal.load_for_verb(saga_id)
    if case is None or case.saga.waiting_for != waiting_for:
        return False
    outbox.withdraw(waiting_for)
    case.saga.last_error = _overdue(case)[:1000]
    decisions.attend(case)
    journal.save([case])
    log.error("saga.needs_attention", **_ids(case), reason=case.saga.last_error)
    return True


def _overdue(case: Case) -> str:
    """What was up: what the step said when it was last tried, or what kept it from being tried at all."""
    said = case.row.undo_error if case.undo else case.row.error
    said = said or pause.reason_of(case.definition.destination(case.saga.current_step, undo=case.undo))
    late = f"{case.saga.current_step}: not finished by the saga's deadline"
    return f"{late} ({said})" if said else late


def _ids(case: Case) -> dict[str, str]:
    """As a line about a message of this saga names them: its subject is what its messages correlate by."""
    subject_id = str(case.saga.subject_id)
    return {"saga_id": str(case.saga.pk), "order_id": subject_id, "correlation_id": subject_id}
