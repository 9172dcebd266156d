"""Low water: where a claim begins to look, while one claim after the other comes back full.

A transaction that somebody leaves open keeps Postgres from forgetting what was claimed and finished since it began:
from the first row on, each claim of a backlog would walk past all that was drained before it (F19).

Guarantee: a claim that finds nothing has looked everywhere, and what is due below the mark is found within a second
(I4): ids are taken before the commit, and a row that comes back keeps its old one. Whether a row is the first of its
aggregate is asked of all rows, wherever the mark is (I12). Not guaranteed: that what is due below the mark is claimed
before what is above it. The mark is this process's memory; lost, it costs a longer look.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

EVERYWHERE = 0
# With a million dead rows to walk past, a look everywhere takes a fifth of a second: once a second is affordable.
LOOK_EVERYWHERE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class _Mark:
    id: int
    looked_everywhere_at: float


_marks: dict[str, _Mark] = {}


def mark(destination: str) -> int:
    """The lowest id worth a look; EVERYWHERE when a second has passed since such a look, or a claim was not full."""
    known = _marks.get(destination)
    if known is None or time.monotonic() - known.looked_everywhere_at >= LOOK_EVERYWHERE_SECONDS:
        return EVERYWHERE
    return known.id


def note(destination: str, ids: Sequence[int], *, since: int, is_full: bool) -> None:
    """What a claim that began there found. Only one that came back full leaves a mark: its own first id."""
    known = _marks.get(destination)
    if not is_full:
        _marks.pop(destination, None)
        return
    looked = known.looked_everywhere_at if known and since != EVERYWHERE else time.monotonic()
    _marks[destination] = _Mark(id=min(ids), looked_everywhere_at=looked)


def forget() -> None:
    """As a process that has just begun."""
    _marks.clear()
