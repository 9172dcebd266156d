"""What a step's span and log lines tell: which saga, which step, and in which trouble it is.

Guarantee: whatever did not simply succeed is an error on the message's own span and one log line with the saga's, the
order's and the message's ids, also amid a batch. Not guaranteed: that it was committed; a batch that is undone tells
again when it is repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from outbox import tracing
from outbox.context import about
from outbox.envelope import Message

from .definition import UNDO
from .models import Saga, SagaStep
from .outcomes import Absent, Done, Outcome, Refused, Retry, Unknown

if TYPE_CHECKING:
    from .decisions import Case

# A refusal is the provider's business, the rest is trouble.
LEVELS = {"refused": logging.INFO, "compensation_failed": logging.ERROR}

log = structlog.get_logger(__name__)


def describe(cases: Sequence[Case]) -> None:
    """Before the step: names the saga and the step on each message's span."""
    if not tracing.is_on():
        return
    for case in cases:
        if case.message:
            tracing.annotate(
                case.message, {"saga.id": str(case.saga.pk), "saga.name": case.saga.name, "saga.step": _step(case)}
            )


def tell(outcomes: Sequence[tuple[Case, Outcome]]) -> None:
    """After the decision: what went wrong, by the word that the step's row has for it too."""
    for case, outcome in outcomes:
        needs_attention = case.saga.status == Saga.Status.NEEDS_ATTENTION
        if case.message is None or (isinstance(outcome, Done) and not needs_attention):
            continue
        with about(case.message):
            if not isinstance(outcome, Done):
                _tell(case, case.message, _word(case, outcome))
            if needs_attention:
                log.error("saga.needs_attention", reason=case.saga.last_error)


def _tell(case: Case, message: Message, word: str) -> None:
    tracing.failed([message], word, case.error)
    tracing.annotate(message, {"saga.attempt": case.row.undo_attempts if case.undo else case.row.attempts})
    log.log(LEVELS.get(word, logging.WARNING), f"saga.step_{word}", step=_step(case), error=case.error)


def _word(case: Case, outcome: Outcome) -> str:
    if case.undo and case.row.undo_status == SagaStep.UndoStatus.FAILED:
        return "compensation_failed"
    match outcome:
        case Refused():
            return "refused"
        case Retry():
            return "retried"
        case Unknown():
            return "unknown"
        case Done() | Absent():
            return type(outcome).__name__.lower()


def _step(case: Case) -> str:
    return f"{case.row.name}{UNDO if case.undo else ''}"
