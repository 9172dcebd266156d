"""One form, one act: what a person submits is done once, however often its button is clicked or its page sent again.

Guarantee: an act that comes of a form has an id that follows from the form and from what is acted on, so Postgres
refuses the second one, whoever comes at the same moment, and the whole verb is undone with it (F14). A new form is a
new wish.
Not guaranteed: anything for acts without a form (the command line); there, a verb finds its work done by the rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID, uuid5

import uuid_utils.compat as uuid_utils

# A UUIDv7's time and what follows it in the same half; the other half is the act's own.
UPPER_HALF = ((1 << 64) - 1) << 64

_form_id: ContextVar[UUID | None] = ContextVar("outbox_form_id", default=None)


@contextmanager
def from_form(form_id: UUID | None) -> Iterator[None]:
    """The acts written meanwhile come of this form; None: of none."""
    token = _form_id.set(form_id)
    try:
        yield
    finally:
        _form_id.reset(token)


def act_id(verb: str, kind: str, identity: str) -> UUID:
    """The id of an act, or of the row it makes: new each time without a form, the same each time with one.

    It begins with the moment at which the form was made: acts are in the order of time by `acted_at` only.
    """
    form_id = _form_id.get()
    if form_id is None:
        return uuid_utils.uuid7()
    own = uuid5(form_id, f"{verb} {kind} {identity}")
    return UUID(int=(form_id.int & UPPER_HALF) | (own.int & ~UPPER_HALF))
