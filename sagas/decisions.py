"""What an outcome means for a saga: pure decisions on rows in memory; the journal writes them.

A decision sets the step's and the saga's fields and leaves `next_command` or `later` on the case. Nothing here touches
the database, so every rule can be read, and tested, without one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outbox.envelope import Message
from outbox.error_text import one_line

from .definition import Definition, RetryPolicy, Step, StepRun
from .models import Saga, SagaStep
from .outcomes import Absent, Done, Outcome, Refused, Retry, Unknown

CANCELLED = "cancelled"
# An unknown outcome is asked about again and again, never faster than this and never slower than the policy's cap.
PROBE_AGAIN_MIN = timedelta(seconds=1)


@dataclass(kw_only=True, eq=False)
class Case:
    """One saga under its row lock, the step that its message is about, and what was decided."""

    definition: Definition
    saga: Saga
    steps: dict[str, SagaStep]
    step: Step
    row: SagaStep
    undo: bool
    now: datetime
    message: Message | None = None
    # (step name, undo): the message that the saga waits for next.
    next_command: tuple[str, bool] | None = None
    # The same message again, after this time; the flag gives the message's attempt back.
    later: timedelta | None = None
    error: str = ""
    ended: bool = False
    touched: set[str] = field(default_factory=set)
    # False: only the step that the message is about was read, enough to go on forward (journal.recall).
    knows_all_steps: bool = True

    def run(self) -> StepRun:
        data = self.definition.upcast(self.saga.data, self.saga.data_version)
        return StepRun(
            saga_id=self.saga.pk,
            subject_id=self.saga.subject_id,
            step=self.step.name,
            undo=self.undo,
            data=data,
            attempt=self.row.undo_attempts if self.undo else self.row.attempts,
            refusals=self.row.undo_refusals if self.undo else 0,
        )

    @property
    def all_steps(self) -> dict[str, SagaStep]:
        assert self.knows_all_steps, f"saga {self.saga.pk} may turn, and its other steps were not read"
        return self.steps

    @property
    def is_spent(self) -> bool:
        """The step's attempts, or its time, are used up."""
        if self.undo:
            return self.row.undo_attempts >= self.step.retry.attempts
        started = self.row.started_at
        timed_out = bool(self.step.timeout and started and self.now - started > self.step.timeout)
        return timed_out or self.row.attempts >= self.step.retry.attempts

    @property
    def may_have_happened(self) -> bool:
        """A call may have left, and nobody has proved what became of it. An attempt that was turned away does not
        speak for the one before it, which may still be in flight."""
        unresolved = {SagaStep.Status.RUNNING, SagaStep.Status.UNKNOWN, SagaStep.Status.RETRYING}
        return self.row.called_at is not None and self.row.status in unresolved

    @property
    def is_unknown(self) -> bool:
        """The step's latest attempt, in the direction the saga goes, left no answer: it is to be asked about."""
        if self.undo:
            return self.row.undo_status in {SagaStep.UndoStatus.RUNNING, SagaStep.UndoStatus.UNKNOWN}
        return self.row.status in {SagaStep.Status.RUNNING, SagaStep.Status.UNKNOWN}

    @property
    def is_unresolved(self) -> bool:
        """Nobody knows what became of the step's latest call, in the direction the saga goes."""
        if self.undo:
            asked = self.row.undo_called_at is not None
            return asked and self.row.undo_status != SagaStep.UndoStatus.DONE
        return self.may_have_happened

    @property
    def wants_to_turn(self) -> bool:
        """Forward, before the pivot, and asked to cancel: it turns here instead of going on."""
        return not self.undo and self.saga.cancel_requested_at is not None and not self.pivot_passed

    @property
    def pivot_passed(self) -> bool:
        pivots = {step.name for step in self.definition.steps if step.pivot}
        return any(row.status == SagaStep.Status.DONE for name, row in self.all_steps.items() if name in pivots)


def begin(case: Case) -> None:
    """Counts an attempt before it is made."""
    row = case.row
    if case.undo:
        row.undo_status = SagaStep.UndoStatus.RUNNING
        row.undo_attempts += 1
        row.undo_started_at = row.undo_started_at or case.now
    else:
        row.status = SagaStep.Status.RUNNING
        row.attempts += 1
        row.started_at = row.started_at or case.now
    case.touched.add(row.name)


def decide(case: Case, outcome: Outcome, *, provider_down: bool = False) -> None:
    """Applies an outcome. `provider_down` gives the attempt back: the trouble is not this saga's."""
    case.touched.add(case.row.name)
    case.error = _text(outcome)
    if case.undo:
        _decide_backward(case, outcome, provider_down=provider_down)
    else:
        _decide_forward(case, outcome, provider_down=provider_down)


def turn(case: Case, reason: str) -> None:
    """Begins to compensate; there is no way forward after this (I7)."""
    case.saga.direction = Saga.Direction.BACKWARD
    case.saga.reason = case.saga.reason or reason
    go_on_backward(case)


def go_on_backward(case: Case) -> None:
    """The next compensation in reverse order of completion, or the end (I8)."""
    step = next_undo(case)
    if step is None:
        _end_backward(case)
        return
    case.saga.current_step = step.name
    case.next_command = (step.name, True)


def next_undo(case: Case) -> Step | None:
    """The last step that was done and whose compensation has not ended in any way."""
    ended = {SagaStep.UndoStatus.DONE, SagaStep.UndoStatus.FAILED, SagaStep.UndoStatus.SKIPPED}
    for step in reversed(case.definition.steps):
        row = case.all_steps.get(step.name)
        if row and row.status == SagaStep.Status.DONE and step.compensation and row.undo_status not in ended:
            return step
    return None


def go_on_forward(case: Case) -> None:
    """The next step, or the end."""
    following = case.definition.after(case.step.name)
    if following is None:
        _end(case, Saga.Status.COMPLETED)
        return
    case.saga.current_step = following.name
    case.next_command = (following.name, False)


def _decide_forward(case: Case, outcome: Outcome, *, provider_down: bool) -> None:
    row = case.row
    match outcome:
        case Done(output=output):
            _finish(case, SagaStep.Status.DONE)
            row.output = output
            turn(case, CANCELLED) if case.wants_to_turn else go_on_forward(case)
        case Refused(reason=reason):
            _finish(case, SagaStep.Status.REFUSED)
            _turn_or_attend(case, reason)
        case Absent():
            _finish(case, SagaStep.Status.ABSENT)
            _turn_or_attend(case, CANCELLED if case.wants_to_turn else case.step.gives_up_as)
        case Retry(after=after):
            _give_back(case, provider_down=provider_down)
            row.status = SagaStep.Status.RETRYING
            row.error = case.error
            _try_again(case, after)
        case Unknown():
            # I13: no compensation and no other key while it is unknown, however many attempts that takes.
            _give_back(case, provider_down=provider_down)
            row.status = SagaStep.Status.UNKNOWN
            row.error = case.error
            case.later = max(_backoff(case.step.retry, row.attempts), PROBE_AGAIN_MIN)


def _try_again(case: Case, after: timedelta | None) -> None:
    """Again later; or, when the saga wants to turn or the step is spent, back. A remote step asks once more first:
    its next attempt only probes, and answers Done or Absent (I13)."""
    if not (case.wants_to_turn or case.is_spent):
        case.later = after or _backoff(case.step.retry, case.row.attempts)
    elif case.may_have_happened:
        case.later = PROBE_AGAIN_MIN
    else:
        _finish(case, SagaStep.Status.GIVEN_UP)
        _turn_or_attend(case, CANCELLED if case.wants_to_turn else case.step.gives_up_as)


def _decide_backward(case: Case, outcome: Outcome, *, provider_down: bool) -> None:
    row = case.row
    match outcome:
        case Done(output=output):
            row.undo_status = SagaStep.UndoStatus.DONE
            row.undo_finished_at = case.now
            row.undo_output = output
            row.undo_error = ""
            go_on_backward(case)
        case Refused():
            row.undo_refusals += 1
            _fail_undo(case)
        case Retry() | Unknown() | Absent():
            if provider_down:
                row.undo_attempts = max(row.undo_attempts - 1, 0)
            if case.is_spent:
                _fail_undo(case)
                return
            unknown = isinstance(outcome, Unknown)
            row.undo_status = SagaStep.UndoStatus.UNKNOWN if unknown else SagaStep.UndoStatus.RETRYING
            row.undo_error = case.error
            after = outcome.after if isinstance(outcome, Retry) else None
            case.later = after or _backoff(case.step.retry, row.undo_attempts)


def _fail_undo(case: Case) -> None:
    """The compensation needs a person; the others still run, and nothing is called compensated that is not (I8)."""
    case.row.undo_status = SagaStep.UndoStatus.FAILED
    case.row.undo_finished_at = case.now
    case.row.undo_error = case.error
    case.saga.last_error = f"{case.row.name}: {case.error}"[:1000]
    go_on_backward(case)


def _turn_or_attend(case: Case, reason: str) -> None:
    """Back, or, after the pivot, where there is no way back, to a person."""
    case.row.error = case.error
    case.saga.last_error = f"{case.row.name}: {case.error}"[:1000] if case.error else case.saga.last_error
    if case.pivot_passed:
        attend(case)
    else:
        turn(case, reason)


def attend(case: Case) -> None:
    """Waits for a person."""
    case.saga.status = Saga.Status.NEEDS_ATTENTION


def _end_backward(case: Case) -> None:
    failed = [row for row in case.all_steps.values() if row.undo_status == SagaStep.UndoStatus.FAILED]
    if failed:
        # Where a person's verbs apply: the first of them in the order of compensation.
        case.saga.current_step = max(failed, key=lambda row: row.position).name
        attend(case)
    else:
        _end(case, Saga.Status.COMPENSATED)


def _end(case: Case, status: Saga.Status) -> None:
    case.saga.status = status
    case.saga.ended_at = case.now
    case.ended = True


def _finish(case: Case, status: SagaStep.Status) -> None:
    case.row.status = status
    case.row.finished_at = case.now
    case.row.error = "" if status == SagaStep.Status.DONE else case.error


def skip_undo(case: Case) -> None:
    """A person answers for the effect. The saga says so to its end: nobody is told that it was undone (I8)."""
    case.row.undo_status = SagaStep.UndoStatus.SKIPPED
    case.row.undo_finished_at = case.now
    case.saga.last_error = f"{case.row.name}: not undone, an operator skipped it"
    go_on_backward(case)


def _give_back(case: Case, *, provider_down: bool) -> None:
    if provider_down:
        case.row.attempts = max(case.row.attempts - 1, 0)


def _backoff(policy: RetryPolicy, attempts: int) -> timedelta:
    """Full jitter, as in outbox.backoff, by the step's own policy."""
    ceiling = min(policy.base_seconds * 2 ** min(max(attempts - 1, 0), 32), policy.cap_seconds)
    return timedelta(seconds=random.uniform(0, ceiling))


def _text(outcome: Outcome) -> str:
    """What it said, as staff may read it."""
    if isinstance(outcome, Refused):
        return one_line(outcome.error or outcome.reason)[:900]
    return one_line(outcome.reason)[:900] if isinstance(outcome, Retry | Unknown) else ""
