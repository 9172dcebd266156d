"""Our books and the providers', compared entry by entry: what one of them does not know, or tells otherwise.

Guarantee: memory bounded by a slice of the listing; a difference is yielded only when nothing that is under way could
explain it: both what stands here and what stands there have been quiet for longer than a call can be in flight.
Read-only, and without effect over there. Theirs is quiet by their clock: with one that is behind ours, what a call did
a moment ago looks old, and then it is ours alone that must have been quiet. A call that is repeated long after its row
last moved may then be told as a difference. It ends with the call's answer, and no repair of it does harm: the provider
is asked, and an orphan is left alone for as long by our own clock.
Raises Unavailable or OutcomeUnknown when a provider cannot be asked: then nothing is known about the rest.
Not guaranteed: that an entry which changes while it is read is judged; the next comparison does.

Ours are matched by the provider key. Whether their book lacks one of ours is not concluded from a listing: after each
slice those of ours that were noted before its last match, and were not in it, are asked about by their keys. Those that
may yet happen, or moved too lately to be asked about, are awaited: the slices after it look at them again by their ids,
until they are found, asked about or settled otherwise. With too many awaited, what was noted after them waits.
Entries of another system that shares our account are told by their keys and by what they name, and left alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from uuid import UUID

from django.utils import timezone

from .books import BOOKS, FIRST_ROW, Book, Entry, Row
from .models import Difference as Kept

SLICE_ENTRIES = 2_000
# Ours that are looked through after a slice; what is left over comes with the next one.
ROWS_MAX = 3_000
# Asked about one by one, and judged together.
KEYS_AT_ONCE = 100
# Ours that are looked at again with each slice.
AWAITED_MAX = 1_000
Kind = Kept.Kind


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one of the two books says."""

    status: str
    amount_minor: int | None
    undone_minor: int | None
    currency: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One key that the two books tell otherwise. `row_id` is our row's, where there is one."""

    provider: str
    object: str
    kind: Kind
    provider_key: str
    provider_reference: str
    order_id: UUID | None
    row_id: UUID | None
    ours: Side | None
    theirs: Side | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What became of one key: the books differ, or agree (`difference` is None), or it is not judged.

    It is under way, or somebody else's.
    """

    key: str
    difference: Difference | None = None
    under_way: bool = False
    stranger: bool = False


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a comparison has come: their reference, our id, and those of ours before it that are still awaited."""

    theirs: str = ""
    ours: UUID = FIRST_ROW
    awaited: Sequence[UUID] = ()


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One slice, judged. `missed` are keys of ours that it lacks, to be asked about; `more` says that ours are left."""

    judgements: Sequence[Judgement]
    missed: Sequence[str]
    position: Position
    more: bool

    @property
    def differences(self) -> list[Difference]:
        return [judged.difference for judged in self.judgements if judged.difference is not None]

    @property
    def strangers(self) -> int:
        return sum(judged.stranger for judged in self.judgements)


def compare(*, at_rest: bool = False, books: Sequence[Book] = BOOKS) -> Iterator[Difference]:
    """Every difference of these books, from their first entries to their last."""
    for book in books:
        yield from _compare_book(book, at_rest=at_rest)


def _compare_book(book: Book, *, at_rest: bool) -> Iterator[Difference]:
    settled = book.settled_time(at_rest=at_rest)
    listing, position, more = book.entries(), Position(), True
    while more:
        entries = list(islice(listing, SLICE_ENTRIES))
        is_last = len(entries) < SLICE_ENTRIES
        found = compare_slice(book, entries, since=position, is_last=is_last, settled=settled)
        yield from found.differences
        for judgements in ask(book, found.missed, settled=settled):
            yield from [judged.difference for judged in judgements if judged.difference is not None]
        # What moves while a whole book is read is the next comparison's.
        position, more = replace(found.position, awaited=()), found.more or not is_last


def compare_slice(book: Book, entries: Sequence[Entry], *, since: Position, is_last: bool, settled: timedelta) -> Slice:
    """Judges a slice of their listing, the one behind `since`; reads ours, with four queries."""
    rows = book.rows([entry.key for entry in entries])
    strangers = book.strangers([entry for entry in entries if entry.key not in rows])
    judgements = [
        Judgement(key=entry.key, stranger=True)
        if entry.key in strangers
        else judge(book, entry.key, entry, rows.get(entry.key), settled=settled)
        for entry in entries
    ]
    last_match = max([since.ours, *(row.id for row in rows.values())])
    ours = book.rows_that_may_stand(above=since.ours, up_to=None if is_last else last_match, limit=ROWS_MAX)
    known = {entry.key for entry in entries}
    is_cut = len(ours) == ROWS_MAX
    # Behind the last match it goes no further than what is quiet: earlier ids may not be committed yet.
    end = ours[-1].id if is_cut else max(last_match, _last_quiet(ours, settled))
    looked_through = [row for row in ours if row.id <= end]
    unmatched = [row for row in [*book.awaited_rows(since.awaited), *looked_through] if row.key not in known]
    awaited = [row for row in unmatched if not _may_be_asked_about(book, row, settled)]
    is_full = len(awaited) > AWAITED_MAX
    up_to = _before(awaited[AWAITED_MAX], looked_through, since) if is_full else end
    return Slice(
        judgements=judgements,
        missed=[row.key for row in unmatched if row.id <= up_to and _may_be_asked_about(book, row, settled)],
        position=Position(
            theirs=entries[-1].reference if entries else since.theirs,
            ours=up_to,
            awaited=[row.id for row in awaited[:AWAITED_MAX]],
        ),
        more=is_cut or is_full,
    )


def _may_be_asked_about(book: Book, row: Row, settled: timedelta) -> bool:
    return row.status in book.happened and row.quiet_seconds >= settled.total_seconds()


def _last_quiet(rows: Sequence[Row], settled: timedelta) -> UUID:
    return max((row.id for row in rows if row.quiet_seconds >= settled.total_seconds()), default=FIRST_ROW)


def _before(row: Row, ours: Sequence[Row], since: Position) -> UUID:
    return max((one.id for one in ours if one.id < row.id), default=since.ours)


def compare_settled(
    book: Book, entries: Sequence[Entry], *, since: Position, is_last: bool, settled: timedelta
) -> tuple[Slice, bool]:
    """The slice up to the first entry that is under way; and whether there was none: then one may go on behind it."""
    whole = compare_slice(book, entries, since=since, is_last=is_last, settled=settled)
    for place, judged in enumerate(whole.judgements):
        if judged.under_way:
            return compare_slice(book, entries[:place], since=since, is_last=False, settled=settled), False
    return whole, True


def ask(book: Book, keys: Sequence[str], *, settled: timedelta) -> Iterator[list[Judgement]]:
    """Asks the provider about these keys and judges each hundred soon after: an answer gets old. Raises as `entry`."""
    for place in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[place : place + KEYS_AT_ONCE]
        yield compare_keys(book, {key: book.entry(key) for key in some}, settled=settled)


def compare_keys(book: Book, entries: Mapping[str, Entry | None], *, settled: timedelta) -> list[Judgement]:
    """Judges keys that the provider was asked about one by one."""
    rows = book.rows(entries) if entries else {}
    return [judge(book, key, entry, rows.get(key), settled=settled) for key, entry in entries.items()]


def judge(book: Book, key: str, entry: Entry | None, row: Row | None, *, settled: timedelta) -> Judgement:
    """One key, by what both books say of it."""
    kind = kind_of(book, entry, row)
    if kind is None:
        return Judgement(key=key)
    if _is_young(entry, row, settled):
        return Judgement(key=key, under_way=True)
    return Judgement(key=key, difference=_difference(book, key, kind, entry, row))


def kind_of(book: Book, entry: Entry | None, row: Row | None) -> Kind | None:
    """How the two differ; None when they agree, or when nothing happened in either."""
    theirs = entry is not None and entry.status in book.their_happened
    ours = row is not None and row.status in book.happened
    if entry is None:
        return Kind.OURS_ONLY if ours else None
    if row is None:
        return Kind.THEIRS_ONLY if theirs else None
    if theirs and ours:
        return _kind_of_two(book, entry, row)
    if theirs:
        return _kind_of_theirs(book, entry, row)
    refused_unheard = entry.status in book.their_refused and row.status not in book.settled_otherwise
    return Kind.STATE if ours or refused_unheard else None


def _kind_of_theirs(book: Book, entry: Entry, row: Row) -> Kind:
    """It happened over there, and ours does not say so."""
    if not _same_amount(entry, row):
        return Kind.AMOUNT
    return _late(book) if row.status in book.settled_otherwise else Kind.STATE


def _kind_of_two(book: Book, entry: Entry, row: Row) -> Kind | None:
    """It happened, both say so."""
    if not _same_amount(entry, row):
        return Kind.AMOUNT
    if (entry.reference, entry.parent) != (row.reference, row.parent):
        return Kind.STATE
    if not row.undo_noted and entry.undone_minor != row.undone_minor:
        return Kind.AMOUNT
    if (
        not row.undo_noted
        and entry.undone_minor is None
        and (entry.status in book.undone) != (row.status in book.undone)
    ):
        return Kind.STATE
    return _late(book) if row.unowned else None


def _late(book: Book) -> Kind:
    """A refund or a cancellation after all is what was wanted: only our row is behind."""
    return {"charge": Kind.LATE_CAPTURE, "shipment": Kind.LATE_PARCEL}.get(book.object, Kind.STATE)


def _same_amount(entry: Entry, row: Row) -> bool:
    return (entry.amount_minor, entry.currency) == (row.amount_minor, row.currency)


def _is_young(entry: Entry | None, row: Row | None, settled: timedelta) -> bool:
    """Whether either moved so lately that the other may not know yet."""
    if row is not None and row.quiet_seconds < settled.total_seconds():
        return True
    return entry is not None and abs(timezone.now() - entry.created_at) < settled


def _difference(book: Book, key: str, kind: Kind, entry: Entry | None, row: Row | None) -> Difference:
    told = [side for side in (row, entry) if side is not None]
    return Difference(
        provider=book.provider,
        object=book.object,
        kind=kind,
        provider_key=key,
        provider_reference=next((side.reference for side in reversed(told) if side.reference), ""),
        order_id=next((side.order_id for side in told if side.order_id), None),
        row_id=row.id if row else None,
        ours=_side(row),
        theirs=_side(entry),
    )


def _side(of: Entry | Row | None) -> Side | None:
    if of is None:
        return None
    return Side(status=of.status, amount_minor=of.amount_minor, undone_minor=of.undone_minor, currency=of.currency)
