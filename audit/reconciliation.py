"""Reconciliation: what the books tell otherwise becomes a row, and a provable one its repair, in one transaction.

Guarantee: one row per key however often it is seen; a repair is an outbox row, or a saga's next message, of the same
transaction, so that a crash in the middle of anything loses nothing; what is gone is closed as repaired or vanished.
Not guaranteed: that a repair succeeds. It is asked for again a few times, then the difference waits for a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from . import repairs
from .books import BOOKS, FIRST_ROW, NO_KEY, Book, book
from .comparison import Difference, Judgement, Slice, ask, compare
from .comparison import Position as Reached
from .models import Difference as Kept
from .models import Position

STANDING = [Kept.State.OPEN, Kept.State.RESOLVED]

log = structlog.get_logger(__name__)


def reconcile(*, at_rest: bool = False, dry_run: bool = False) -> list[Difference]:
    """Compares everything now, in this process; stores and repairs unless `dry_run`. Returns what differs.

    Raises Unavailable or OutcomeUnknown when a provider cannot be asked; what was found until then is kept.
    """
    if dry_run:
        return list(compare(at_rest=at_rest))
    return [difference for of in BOOKS for difference in _reconcile_book(of, at_rest=at_rest)]


def _reconcile_book(of: Book, *, at_rest: bool) -> Iterator[Difference]:
    """What was open before and is not seen any more is asked about by its key, and closed when the books agree."""
    standing = set(open_keys(of))
    for difference in compare(books=[of], at_rest=at_rest):
        standing.discard(difference.provider_key)
        store([Judgement(key=difference.provider_key, difference=difference)], of=of)
        yield difference
    for judgements in ask(of, sorted(standing), settled=of.settled_time(at_rest=at_rest)):
        store(judgements, of=of)


def open_keys(of: Book, *, limit: int | None = None) -> list[str]:
    """Keys of open differences, those first that were not looked at for longest. Index difference_open."""
    rows = Kept.objects.filter(object=of.object, state=Kept.State.OPEN).exclude(provider_key__startswith=NO_KEY)
    return list(rows.order_by("last_seen_at", "pk").values_list("provider_key", flat=True)[:limit])


def is_answered_for(difference: Difference) -> bool:
    """Whether a person resolved exactly this. Index one_standing_difference_per_object_and_key."""
    resolved = Kept.objects.filter(
        object=difference.object, provider_key=difference.provider_key, state=Kept.State.RESOLVED
    ).first()
    return resolved is not None and _is_told_as(resolved, _facts(difference))


def reached(of: Book) -> Reached:
    """How far the running comparison has come."""
    row = Position.objects.filter(object=of.object).first()
    return Reached(theirs=row.theirs, ours=row.ours, awaited=[UUID(one) for one in row.awaited]) if row else Reached()


def begin() -> None:
    """Writes the positions that are missing, so that a comparison that never moves is seen to stand still."""
    wanted = [Position(object=of.object, theirs="", ours=FIRST_ROW) for of in BOOKS]
    Position.objects.bulk_create(wanted, ignore_conflicts=True)


@transaction.atomic
def store_slice(found: Slice, *, since: Reached, of: Book, is_held: bool = False) -> bool:
    """Stores a slice and moves the position; False, and nothing, when somebody else has moved it meanwhile.

    One that is held where it was stands still; one that found nothing new does not.
    """
    begin()
    changes: dict[str, Any] = _as_row(found.position)
    if not is_held or found.position.theirs != since.theirs:
        changes["moved_at"] = Now()
    moved = Position.objects.filter(object=of.object, **_as_row(since)).update(**changes)
    if moved:
        store(found.judgements, of=of)
    return bool(moved)


def _as_row(position: Reached) -> dict[str, Any]:
    return {"theirs": position.theirs, "ours": position.ours, "awaited": [str(one) for one in position.awaited]}


@transaction.atomic
def store(judgements: Sequence[Judgement], *, of: Book) -> None:
    """Opens, updates and closes differences by these judgements, and asks for repairs. What was not judged is left."""
    # By order: repairs lock sagas and orders, and two of these transactions may run at once.
    judged = sorted([one for one in judgements if not (one.under_way or one.stranger)], key=_lock_place)
    standing = _lock_standing(of, [one.key for one in judged])
    for one in judged:
        row = standing.get(one.key)
        if one.difference is not None:
            _keep(of, one.difference, row)
        elif row is not None and row.state == Kept.State.OPEN:
            _close(row)


def _lock_place(one: Judgement) -> str:
    return str(one.difference.order_id) if one.difference is not None else ""


def _lock_standing(of: Book, keys: Sequence[str]) -> Mapping[str, Kept]:
    rows = Kept.objects.select_for_update().filter(object=of.object, provider_key__in=keys, state__in=STANDING)
    return {row.provider_key: row for row in rows.order_by("pk")}


def _keep(of: Book, difference: Difference, row: Kept | None) -> None:
    facts = _facts(difference)
    if row is None:
        row = Kept.objects.create(provider=of.provider, object=of.object, provider_key=difference.provider_key, **facts)
        log.warning("reconciliation.difference", object=of.object, kind=difference.kind, key=difference.provider_key)
    elif row.state == Kept.State.RESOLVED:
        if not _reopen(row, facts):
            return
    else:
        Kept.objects.filter(pk=row.pk, state=Kept.State.OPEN).update(**facts, last_seen_at=Now())
    _repair(difference, row)


def _reopen(row: Kept, facts: Mapping[str, Any]) -> bool:
    """A person answered for what they saw, and not for another difference under the same key."""
    if _is_told_as(row, facts):
        return False
    reopened = {"state": Kept.State.OPEN, "resolution": "", "ended_at": None, "first_seen_at": Now()}
    repairs_anew = {"repair": Kept.Repair.NONE, "repairs": 0, "repair_asked_at": None}
    changes = {**facts, **reopened, **repairs_anew, "last_seen_at": Now()}
    Kept.objects.filter(pk=row.pk, state=Kept.State.RESOLVED).update(**changes)
    row.refresh_from_db()
    return True


def _is_told_as(row: Kept, facts: Mapping[str, Any]) -> bool:
    return all(getattr(row, name) == facts[name] for name in ("kind", "ours", "theirs"))


def _facts(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "provider_reference": difference.provider_reference,
        "order_id": difference.order_id,
        "row_id": difference.row_id,
        "ours": asdict(difference.ours) if difference.ours else None,
        "theirs": asdict(difference.theirs) if difference.theirs else None,
    }


def _repair(difference: Difference, row: Kept) -> None:
    """Asks for the repair that is proved, if it is its time."""
    of = book(difference.object)
    if not repairs.is_due(row, wait=of.settled_time(at_rest=False)):
        return
    repair = repairs.ask(difference)
    if repair != Kept.Repair.NONE:
        changes = {"repair": repair, "repairs": F("repairs") + 1, "repair_asked_at": Now()}
        Kept.objects.filter(pk=row.pk, state=Kept.State.OPEN).update(**changes)
        log.info("reconciliation.repair", object=of.object, kind=difference.kind, repair=repair, key=row.provider_key)


def _close(row: Kept) -> None:
    """The books agree. Whether that was our doing is what the row remembers."""
    state = Kept.State.REPAIRED if row.repairs else Kept.State.VANISHED
    Kept.objects.filter(pk=row.pk, state=Kept.State.OPEN).update(state=state, ended_at=Now(), last_seen_at=Now())
