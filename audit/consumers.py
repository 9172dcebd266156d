"""The running comparison: a slice of a listing, or some keys, asked for on the provider's queue and compared after it.

Guarantee: the network is used outside any transaction, on a call slot and under the breaker, as every call is; what it
brought is compared and stored in one transaction with the message, and so is what must follow. A provider that cannot
be asked costs no attempt, and what was read before it could not is kept. Not guaranteed: that a slice comes to its end;
it holds before what is under way, and the next tick goes on from there. How long it has held is a metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from outbox import routing
from outbox.envelope import Message
from outbox.exceptions import CallOverstayed, RetryLater
from outbox.publisher import Publication, publish_all
from outbox.registry import Event
from outbox.remote import Answer, Call, remote
from providers import deadline
from providers.errors import ProviderError
from providers.gate import Gate, gate

from . import reconciliation
from .books import BOOKS, Book, Entry, book
from .comparison import SLICE_ENTRIES, Position, compare_keys, compare_settled
from .events import BOOKS_DUE, KEYS_DOUBTED
from .telemetry import STRANGERS

ASK_AGAIN_AFTER = timedelta(seconds=30)
KEYS_PER_MESSAGE = 100
# With less of the attempt's time left, the other keys are asked about by another message.
SECONDS_PER_KEY = 3.0
# Open differences that one tick looks at again, those first that were not looked at for longest.
LOOKED_AT_AGAIN_MAX = 1_000

# Index outbox_open.
UNDER_WAY = """
SELECT FROM outbox_outboxmessage WHERE state = 'open' AND destination = %s AND payload ->> 'object' = %s LIMIT 1
"""


@dataclass(frozen=True, kw_only=True)
class SliceAsked:
    of: Book
    since: Position


@dataclass(frozen=True, kw_only=True)
class KeysAsked:
    of: Book
    keys: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class SliceRead:
    entries: Sequence[Entry]
    is_last: bool


class ReadBooks:
    """Both kinds of messages of one provider."""

    def __init__(self, provider: str) -> None:
        self.provider = provider

    def gate(self) -> Gate:
        return gate(self.provider)

    def note(self, messages: Sequence[Message]) -> Mapping[UUID, Call]:
        """Nothing to note: a question leaves no trace over there."""
        return {message.key: _call(message) for message in messages}

    def record(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if answer.mine:
                _record(answer)


def _call(message: Message) -> Call:
    of = book(message.payload["object"])
    if message.type == KEYS_DOUBTED[of.provider].type:
        asked = KeysAsked(of=of, keys=message.payload["keys"])
        return Call(intent=asked, perform=partial(_ask_about, asked))
    since = reconciliation.reached(of)
    return Call(intent=SliceAsked(of=of, since=since), perform=partial(_read_slice, of, since.theirs))


def _read_slice(of: Book, after: str) -> SliceRead:
    """As far as they can be read; what an error or the deadline cuts off is the next slice's, and raised there."""
    entries: list[Entry] = []
    try:
        # What came before the error stays in the list.
        entries.extend(islice(of.entries(after=after), SLICE_ENTRIES))
    except ProviderError:
        if not entries:
            raise
        return SliceRead(entries=entries, is_last=False)
    return SliceRead(entries=entries, is_last=len(entries) < SLICE_ENTRIES)


def _ask_about(asked: KeysAsked) -> dict[str, Entry | None]:
    """As many as there is time for, and one at least."""
    found: dict[str, Entry | None] = {}
    for key in asked.keys:
        left = deadline.remaining()
        if found and left is not None and left < SECONDS_PER_KEY:
            break
        found[key] = asked.of.entry(key)
    return found


def _record(answer: Answer) -> None:
    match answer.result:
        case ProviderError() | CallOverstayed():
            raise RetryLater(ASK_AGAIN_AFTER, str(answer.result))
        case BaseException():
            raise answer.result
        case SliceRead():
            _record_slice(answer.intent, answer.result)
        case dict():
            _record_keys(answer.intent, answer.result)


def _record_slice(asked: SliceAsked, read: SliceRead) -> None:
    settled = asked.of.settled_time(at_rest=False)
    found, goes_on = compare_settled(asked.of, read.entries, since=asked.since, is_last=read.is_last, settled=settled)
    if not reconciliation.store_slice(found, since=asked.since, of=asked.of, is_held=not goes_on):
        return
    STRANGERS.labels(asked.of.object).inc(found.strangers)
    doubt(asked.of, found.missed)
    # Held by too many that are awaited, it waits for the next tick.
    if goes_on and (found.more or not read.is_last) and found.position != asked.since:
        due(asked.of)


def _record_keys(asked: KeysAsked, entries: Mapping[str, Entry | None]) -> None:
    settled = asked.of.settled_time(at_rest=False)
    reconciliation.store(compare_keys(asked.of, entries, settled=settled), of=asked.of)
    doubt(asked.of, [key for key in asked.keys if key not in entries])


def due(of: Book) -> None:
    """Publishes that the next slice of this book is due; in the caller's transaction."""
    _publish([BOOKS_DUE[of.provider](object=of.object)])


def doubt(of: Book, keys: Sequence[str]) -> None:
    """Publishes that these keys are to be asked about; in the caller's transaction."""
    some_each = [keys[place : place + KEYS_PER_MESSAGE] for place in range(0, len(keys), KEYS_PER_MESSAGE)]
    _publish([KEYS_DOUBTED[of.provider](object=of.object, keys=list(some)) for some in some_each])


@transaction.atomic
def go_on() -> None:
    """The tick: each book's next slice and another look at what is open, unless the last one is still under way."""
    reconciliation.begin()
    for of in BOOKS:
        if not _is_under_way(of):
            due(of)
            doubt(of, reconciliation.open_keys(of, limit=LOOKED_AT_AGAIN_MAX))


def _is_under_way(of: Book) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(UNDER_WAY, [destination_of(of.provider), of.object])
        return cursor.fetchone() is not None


def _publish(events: Sequence[Event]) -> None:
    publications = [
        Publication(event=event, aggregate_id=(identity := uuid7()), sequence=None, correlation_id=identity)
        for event in events
    ]
    if publications:
        publish_all(publications)


def destination_of(provider: str) -> str:
    return f"audit.reconcile_{provider}"


for _provider in BOOKS_DUE:
    _types = frozenset({BOOKS_DUE[_provider].type, KEYS_DOUBTED[_provider].type})
    routing.register(
        routing.Inside(
            name=destination_of(_provider),
            queue=_provider,
            types=_types,
            subscribes=_types,
            run=remote(ReadBooks(_provider)),
            remote=True,
        )
    )
