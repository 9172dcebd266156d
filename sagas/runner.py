"""The runner: one claimed batch of one step and direction, from its messages to its next messages.

Local steps: outcome, inbox rows and next messages commit together, so the effect happens exactly once. Remote steps:
the intent is on record before the call, every call after a step's first begins with the probe, and what the provider
answered is written as a fact even by a runner whose claim was taken over; only the decision is fenced (I3, I6, I13).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from outbox import consumer
from outbox.envelope import Message
from outbox.querysets import PutBack
from outbox.remote import Answer, Call
from providers import deadline
from providers import gate as providers
from providers.errors import Refused

from . import decisions, journal, late, telemetry, tracing
from .decisions import CANCELLED, Case
from .definition import Definition, LocalAction, RemoteAction, Step
from .outcomes import Absent, Done, Outcome, Unknown


@dataclass(frozen=True, kw_only=True)
class StepWork:
    """What both kinds of steps share: which step of which saga, in which direction."""

    definition: Definition
    step: Step
    undo: bool

    @property
    def destination(self) -> str:
        return self.definition.destination(self.step.name, undo=self.undo)

    def load(self, messages: Sequence[Message]) -> list[Case]:
        cases = journal.load(messages, step=self.step.name, undo=self.undo)
        tracing.describe(cases)
        return cases

    def decide(self, outcomes: Sequence[tuple[Case, Outcome]], *, provider_down: Collection[UUID] = ()) -> None:
        """Applies an outcome to each case; `provider_down` are the sagas whose provider as a whole is in trouble."""
        journal.recall([case for case, outcome in outcomes if not isinstance(outcome, Done | Unknown)])
        for case, outcome in outcomes:
            decisions.decide(case, outcome, provider_down=case.saga.pk in provider_down)
        tracing.tell(outcomes)

    def save(self, cases: Sequence[Case]) -> None:
        """Writes decisions; messages of sagas that try again go back to where they were."""
        journal.save(cases)
        consumer.later(self.destination, [_put_back(case) for case in cases if case.later is not None])


@dataclass(frozen=True, kw_only=True)
class LocalWork(StepWork):
    """A step that only touches Postgres: the effect of a consumer's batch."""

    action: LocalAction

    def __call__(self, messages: Sequence[Message]) -> None:
        cases = self.load(messages)
        runnable = [case for case in cases if not _turned(case)]
        for case in runnable:
            decisions.begin(case)
        outcomes = self.action([case.run() for case in runnable]) if runnable else {}
        self.decide([(case, outcomes[case.saga.pk]) for case in runnable])
        self.save(cases)


@dataclass(frozen=True, kw_only=True)
class RemoteStepWork(StepWork):
    """A step that calls somebody else: the three phases of outbox.remote."""

    action: RemoteAction
    provider: str

    def gate(self) -> providers.Gate:
        return providers.gate(self.provider)

    def note(self, messages: Sequence[Message]) -> Mapping[UUID, Call]:
        """Phase 1: turns the sagas that want to turn, notes the others' intents, and says what to call."""
        cases = self.load(messages)
        runnable = [case for case in cases if not _turned(case)]
        attempts = {case.saga.pk: self._attempt(case) for case in runnable}
        for case in runnable:
            decisions.begin(case)
        intents = self.action.note([case.run() for case in runnable]) if runnable else {}
        called = [case for case in runnable if case.saga.pk in intents]
        for case in runnable:
            if case not in called:
                # There is nothing to ask for (nothing was captured that could be refunded).
                decisions.decide(case, Done())
        # Done before their sagas' next messages are published: a saga has one open message at a time (I6).
        consumer.settle(self.destination, [_message(case) for case in cases if case not in called])
        # Only their steps have changed: their sagas wait for the same message as before.
        journal.save_attempts(called)
        self.save([case for case in cases if case not in called])
        return {
            _message(case).key: Call(
                intent=intents[case.saga.pk], perform=partial(attempts[case.saga.pk], intents[case.saga.pk])
            )
            for case in called
        }

    def record(self, answers: Sequence[Answer]) -> None:
        """Phase 3: facts of all answers; decisions for those whose claim and saga are still theirs."""
        if not all(answer.mine for answer in answers):
            # Sagas before facts, as everybody locks them: a stale answer may be news to a saga that is not ours (late).
            journal.hold([answer.message.aggregate_id for answer in answers])
        cases = {case.saga.pk: case for case in self.load([answer.message for answer in answers if answer.mine])}
        outcomes = self.action.record([(answer.intent, answer.result) for answer in answers])
        expected: list[tuple[Case, Outcome]] = []
        unexpected: list[tuple[Answer, Outcome]] = []
        for answer, outcome in zip(answers, outcomes, strict=True):
            # A stale answer may stand beside the one that replaced it: of one saga, only the latter decides (I6).
            case = cases.get(answer.message.aggregate_id) if answer.mine else None
            if case is None:
                unexpected.append((answer, outcome))
            else:
                expected.append((case, outcome))
        down = {answer.message.aggregate_id for answer in answers if answer.provider_down}
        self.decide(expected, provider_down=down)
        self.save(list(cases.values()))
        if not self.undo:
            late.adopt(self.step.name, {answer.message.aggregate_id: outcome for answer, outcome in unexpected})

    def _attempt(self, case: Case) -> Attempt:
        """What this attempt does, decided before it is counted; made later in a thread without the database."""
        row = case.row
        called_at = row.undo_called_at if self.undo else row.called_at
        # A saga that wants to turn, or has spent its attempts, only asks: no new call (I13).
        only_asks = not self.undo and called_at is not None and (case.wants_to_turn or case.is_spent)
        if not only_asks:
            _mark_called(case)
        return Attempt(
            action=self.action,
            step=self.step.name,
            was_unknown=called_at is not None and case.is_unknown,
            first=called_at is None,
            only_asks=only_asks,
            past_horizon=called_at is not None and case.now - called_at > self.gate().in_flight_horizon,
        )


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a remote step: it asks before it calls again."""

    action: RemoteAction
    step: str
    # The attempt before it ended without a word, or with one that told nothing.
    was_unknown: bool
    first: bool
    only_asks: bool
    past_horizon: bool

    def __call__(self, intent: Any) -> Any:
        """Runs in a call's thread, without the database; all its calls under one deadline.

        Returns what the participant's call or probe returned; of an attempt that only asks and found nothing: Absent,
        or Unknown while the last call may still be in flight. Raises what the participant raises.
        """
        if self.first:
            return self.action.call(intent)
        found = self._ask(intent)
        if found is not None:
            return found
        if not self.only_asks:
            return self._call_again(intent)
        if self.past_horizon:
            self._resolved("absent")
        return Absent() if self.past_horizon else Unknown("nothing found, and the last call may still be in flight")

    def _ask(self, intent: Any) -> Any:
        """The probe; counts what it proved. Finding nothing proves nothing by itself: the call may be in flight."""
        try:
            found = self.action.probe(intent)
        except Refused:
            self._resolved("refused")
            raise
        if found is not None:
            self._resolved("done")
        return found

    def _call_again(self, intent: Any) -> Any:
        # The probe may have used up the attempt's time, and the horizon counts from the attempt's intent (I13).
        left = deadline.remaining()
        if left is not None and left <= 0:
            return Unknown("no time left to call")
        self._resolved("absent")
        return self.action.call(intent)

    def _resolved(self, became: str) -> None:
        if self.was_unknown:
            telemetry.UNKNOWN_RESOLVED.labels(self.step, became).inc()


def works_of(definition: Definition, step: Step) -> list[LocalWork | RemoteStepWork]:
    """The forward and, where there is a compensation, the backward work of a step."""
    works: list[LocalWork | RemoteStepWork] = []
    for undo in (False, True):
        action = step.does(undo=undo)
        if isinstance(action, RemoteAction):
            assert step.provider is not None, f"{definition.name}.{step.name}: a remote step names its provider"
            works.append(
                RemoteStepWork(definition=definition, step=step, undo=undo, action=action, provider=step.provider)
            )
        elif action is not None:
            works.append(LocalWork(definition=definition, step=step, undo=undo, action=action))
    return works


def _turned(case: Case) -> bool:
    """Whether the saga goes elsewhere instead of taking this step: back, or to the undo of what came late meanwhile."""
    return _turned_later(case) if case.undo else _turned_back(case)


def _turned_later(case: Case) -> bool:
    """A later step was found done after this undo was decided, and before it began: it is undone first (I8, F13)."""
    if case.row.undo_started_at is not None or decisions.next_undo(case) in {case.step, None}:
        return False
    decisions.go_on_backward(case)
    return True


def _turned_back(case: Case) -> bool:
    """Turns a saga that was asked to cancel, unless a call may have left: then it must ask first."""
    if not case.wants_to_turn or case.may_have_happened:
        return False
    decisions.turn(case, CANCELLED)
    return True


def _mark_called(case: Case) -> None:
    if case.undo:
        case.row.undo_called_at = case.now
    else:
        case.row.called_at = case.now


def _message(case: Case) -> Message:
    """The message that a case was loaded for."""
    assert case.message is not None
    return case.message


def _put_back(case: Case) -> PutBack:
    assert case.later is not None
    # The saga counts its own attempts, on the step.
    return PutBack(_message(case), after=case.later, error=case.error, gives_attempt_back=True)
