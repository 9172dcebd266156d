"""Messages as JSON lines, in the order of their keys, which is the order of writing.

Guarantee: any number of messages in bounded memory and without a long transaction: a dump that a slow reader holds up
keeps no snapshot open, so vacuum and purges go on. From the last key on it can be resumed. Not guaranteed: one
snapshot; each page shows its messages as they are when it is read.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from .filters import RARE_STATES
from .masking import masked
from .models import OutboxMessage
from .querysets import first_key_of

PAGE_ROWS = 1_000
# What one statement looks at where no index serves the filter; some milliseconds each thousand.
WINDOW_ROWS = 5_000
FIRST_KEY = UUID(int=0)
FIELDS = tuple(field.attname for field in OutboxMessage._meta.concrete_fields)
MASKED = ("payload", "headers")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which messages: those of these states, destinations and types, written since then, after that key."""

    states: Collection[str] = ()
    destinations: Collection[str] = ()
    types: Collection[str] = ()
    since: datetime | None = None
    after: UUID | None = None

    @property
    def begins_after(self) -> UUID:
        """A UUIDv7 begins with its time: a moment is a key."""
        since = UUID(int=first_key_of(self.since).int - 1) if self.since else FIRST_KEY
        return max(since, self.after or FIRST_KEY)

    @property
    def is_rare(self) -> bool:
        """Whether a partial index keeps every statement to the few rows of these states."""
        return bool(self.states) and set(self.states) <= RARE_STATES

    def among(self, messages: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
        given = {"state__in": self.states, "destination__in": self.destinations, "type__in": self.types}
        return messages.filter(**{name: list(values) for name, values in given.items() if values})


@dataclass
class Dump:
    """One pass over the messages. `last_key` is where it stands: whoever has dealt with a message moves it there."""

    wanted: Wanted
    last_key: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.last_key = self.wanted.begins_after

    def messages(self) -> Iterator[OutboxMessage]:
        """All of them, page by page."""
        pages = self._rare_pages() if self.wanted.is_rare else self._windows()
        for page in pages:
            yield from page

    def _rare_pages(self) -> Iterator[list[OutboxMessage]]:
        """Indexes outbox_open, outbox_dead and outbox_skipped."""
        start = self.last_key
        while page := list(self._beyond(start)[:PAGE_ROWS]):
            yield page
            start = page[-1].key

    def _windows(self) -> Iterator[list[OutboxMessage]]:
        """So many rows of the primary key at a time, and of those what is wanted: no statement reads further."""
        start = self.last_key
        while True:
            keys = OutboxMessage.objects.filter(key__gt=start).order_by("key").values_list("key", flat=True)
            end = next(iter(keys[WINDOW_ROWS - 1 : WINDOW_ROWS]), None)
            yield list(self._beyond(start) if end is None else self._beyond(start).filter(key__lte=end))
            if end is None:
                return
            # Nothing of it is wanted any more.
            self.last_key = start = end

    def _beyond(self, key: UUID) -> QuerySet[OutboxMessage]:
        return self.wanted.among(OutboxMessage.objects.filter(key__gt=key)).order_by("key")


def as_line(message: OutboxMessage, *, unmasked: bool = False) -> str:
    """One message as one line of JSON; secrets in payload and headers masked, unless they are asked for."""
    data: dict[str, Any] = {name: getattr(message, name) for name in FIELDS}
    if not unmasked:
        data |= {name: masked(data[name]) for name in MASKED}
    return json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False)
