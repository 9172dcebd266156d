"""Operator acts: who did what to what, and why.

Guarantee: an act is written in the transaction of what it tells of, with a reason; of one form at most one act on one
row is written (once.py). Not guaranteed: that it is true who typed on a command line.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, models

from . import once
from .exceptions import AlreadyActed
from .models import OperatorAct

Person = AbstractBaseUser | AnonymousUser | None
_approver: ContextVar[Person] = ContextVar("outbox_approver", default=None)


@contextmanager
def approved_by(person: Person) -> Iterator[None]:
    """Names the second person in every act that is written meanwhile."""
    token = _approver.set(person)
    try:
        yield
    finally:
        _approver.reset(token)


def act(*, who: Person, verb: str, target: models.Model | tuple[str, str], reason: str, **detail: Any) -> OperatorAct:
    """Writes who did what to what, and why. A reason is required: raises ValueError without one.

    Raises AlreadyActed when this was done from the same form before (once.py); the caller's transaction is then undone.
    """
    written = prepared(who=who, verb=verb, target=target, reason=reason, **detail)
    write([written])
    return written


def prepared(
    *, who: Person, verb: str, target: models.Model | tuple[str, str], reason: str, **detail: Any
) -> OperatorAct:
    """The same act, not written yet."""
    if not reason.strip():
        raise ValueError("An operator act needs a reason.")
    kind, identity = target if isinstance(target, tuple) else (target._meta.model_name or "", str(target.pk))
    approver = _approver.get()
    return OperatorAct(
        id=once.act_id(verb, kind, identity),
        who_id=who.pk if who is not None else None,
        approved_by_id=approver.pk if approver is not None else None,
        verb=verb,
        target_type=kind,
        target_id=identity,
        reason=reason.strip()[:500],
        detail=detail,
    )


def write(acts: Iterable[OperatorAct]) -> None:
    """Writes several in one statement."""
    try:
        OperatorAct.objects.bulk_create(acts)
    except IntegrityError as error:
        # The primary key: nothing else of an act with a reason can be refused.
        raise AlreadyActed from error
