"""A rehearsal: a verb is done and taken back, to learn whether it could be done.

Guarantee: nothing of it stays in the database, and whoever counts what was done can ask whether this is one. Not
guaranteed: that a verb which passed its rehearsal passes a moment later.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import transaction

_under_way: ContextVar[bool] = ContextVar("outbox_rehearsal", default=False)


@contextmanager
def rehearsing() -> Iterator[None]:
    """What is written meanwhile is undone."""
    token = _under_way.set(True)
    try:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
    finally:
        _under_way.reset(token)


def is_under_way() -> bool:
    return _under_way.get()
