"""How many messages the next claim of a destination inside takes: few while few are due, more under a backlog.

A batch costs its statements, its commit and its ring once, however many messages it holds; a small one holds its locks
for a shorter time and costs fewer retries when one message breaks it. So a claim that comes back full doubles the next
one, and one that does not takes it back to what was found.

Not guaranteed: that two processes agree; each learns from its own claims.
"""

from .conf import conf

_learned: dict[str, int] = {}


def next_for(destination: str) -> int:
    """At least the base size, at most the maximum."""
    settings = conf()
    return min(max(_learned.get(destination, 0), settings.claim_batch_size), settings.claim_batch_max_size)


def learn(destination: str, *, asked: int, claimed: int) -> None:
    """From a claim that asked for so many messages and got so many."""
    _learned[destination] = asked * 2 if claimed == asked else claimed
