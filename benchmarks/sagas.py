"""The saga of P1: four local steps, each a small UPDATE of a table of its own."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from django.db import connection

from sagas.consumers import register
from sagas.definition import Definition, Ended, Step, StepRun
from sagas.outcomes import Done, Outcome

FOUR_STEPS = "bench_four_steps"
STEPS = (1, 2, 3, 4)


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
