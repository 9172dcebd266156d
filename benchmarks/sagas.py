"""The saga of P1: four local steps, each a small UPDATE of a table of its own; and P2's: the inner two call others."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from providers.client import ProviderClient
from providers.errors import Unavailable
from sagas.consumers import register
from sagas.definition import Definition, Ended, RemoteAction, Step, StepRun
from sagas.outcomes import Done, Outcome, Retry, Unknown

FOUR_STEPS = "bench_four_steps"
STEPS = (1, 2, 3, 4)
TWO_CALLS = "bench_two_calls"
# Its queue and its slots.
PROVIDER = "payments"


def _touch(number: int) -> Callable[[Sequence[StepRun]], Mapping[UUID, Outcome]]:
    def action(runs: Sequence[StepRun]) -> Mapping[UUID, Outcome]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE bench_step_{number} SET touched = touched + 1 WHERE id = ANY(%s)",
                [[run.subject_id for run in runs]],
            )
        return {run.saga_id: Done() for run in runs}

    return action


def _never_compensated(ended: Sequence[Ended]) -> None:
    raise AssertionError(f"No step refuses, yet {len(ended)} sagas were compensated.")


register(
    Definition(
        name=FOUR_STEPS,
        steps=[Step(name=f"step_{number}", action=_touch(number), pivot=number == 4) for number in STEPS],
        on_compensated=_never_compensated,
    )
)


@cache
def _client() -> ProviderClient:
    return ProviderClient(provider=PROVIDER, base_url=os.environ["BENCH_PROVIDER_URL"], api_key="bench")


def _note(runs: Sequence[StepRun]) -> Mapping[UUID, str]:
    """The key is the whole intent; a row's is the same on both sides of the comparison."""
    return {run.saga_id: f"{run.subject_id}:{run.step}" for run in runs}


def _call(key: str) -> dict[str, Any]:
    return _client().request("POST", "/calls", json={"amount": 1}, idempotency_key=key)


def _probe(key: str) -> dict[str, Any] | None:
    found = _client().request("GET", f"/calls/{key}")
    return found if found["receipt"] else None


def _record(facts: Sequence[tuple[str, object]]) -> list[Outcome]:
    return [_outcome(fact) for _, fact in facts]


def _outcome(fact: object) -> Outcome:
    if isinstance(fact, dict):
        return Done(fact)
    return Retry("turned away") if isinstance(fact, Unavailable) else Unknown(repr(fact))


ASKS_SOMEBODY = RemoteAction(
    note=_note, call=_call, probe=_probe, record=_record, receipt=lambda intent, reference: {"receipt": reference}
)
register(
    Definition(
        name=TWO_CALLS,
        steps=[
            Step(name="step_1", action=_touch(1)),
            Step(name="call_2", action=ASKS_SOMEBODY, provider=PROVIDER),
            Step(name="call_3", action=ASKS_SOMEBODY, provider=PROVIDER),
            Step(name="step_4", action=_touch(4), pivot=True),
        ],
        on_compensated=_never_compensated,
    )
)
