"""THE list of guards: what keeps each promise, how it is taken away, and which test notices.

A new guard is an entry here; `tests/sabotage/test_guards.py` holds the list to docs/invariants.md.
"""

from tests.sabotage.guard import Guard

from . import intake, outbox, participants, sagas, steps

GUARDS: list[Guard] = [*intake.GUARDS, *outbox.GUARDS, *sagas.GUARDS, *steps.GUARDS, *participants.GUARDS]


def find(name: str) -> Guard:
    """The guard of that name; raises KeyError."""
    return {guard.name: guard for guard in GUARDS}[name]
