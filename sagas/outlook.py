"""What happens to a saga next, when, and by itself or not: sentences for whoever looks at it.

Guarantee: they say what the engine will do by the rows as they are read now. Not guaranteed: that nothing comes
between; a provider's answer, a customer's wish or an operator may change it the moment after.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from outbox import selectors as outbox
from outbox.spoken import spoken

from . import definition, selectors
from .definition import Definition, Step
from .exceptions import UnknownDefinition
from .models import Saga, SagaStep
from .selectors import Waiting

# A due message is taken within a tick; after this long somebody should look at the workers.
LONG_DUE: Final = timedelta(seconds=30)


def outlook(saga: Saga, *, now: datetime) -> list[str]:
    """The next thing first. `now` is the database's."""
    if not saga.is_live:
        ended = f", {spoken(saga.ended_at - saga.started_at)} after it began" if saga.ended_at else ""
        return [f"Nothing more: it ended {saga.status}{ended}."]
    if saga.status == Saga.Status.NEEDS_ATTENTION:
        return ["Nothing by itself: it waits for a person, for as long as that takes."]
    known, step = _known(saga)
    return [
        *_soon(saga, now=now),
        *(_policy(saga, known, step) if known and step else [f"No code of this process knows {saga.name} any more."]),
        f"If it has not ended by {_time(saga.deadline_at, now=now)}, it waits for a person.",
    ]


def _known(saga: Saga) -> tuple[Definition, Step] | tuple[None, None]:
    try:
        known = definition.find(saga.name, saga.version)
        return known, known.step(saga.current_step)
    except UnknownDefinition:
        return None, None


def _soon(saga: Saga, *, now: datetime) -> Iterator[str]:
    what = f"the compensation of {saga.current_step}" if saga.goes_backward else saga.current_step
    waiting = selectors.waits_for(saga)
    if waiting is None:
        yield f"{_first(what)} has no message to run it: the sweep makes one within seconds."
        return
    if waiting.reading == outbox.Reading.DUE and (paused := outbox.pause_of(waiting.destination)):
        until, why = _time(paused[0], now=now), paused[1] or "paused"
        yield f"{_first(what)} is due, and nothing of {waiting.destination} is taken before {until}: {why}."
        return
    yield _reading(what, waiting, now=now)


def _reading(what: str, waiting: Waiting, *, now: datetime) -> str:
    match waiting.reading:
        case outbox.Reading.RUNNING:
            return (
                f"{_first(what)} is under way. Should its worker die, another one takes it over at"
                f" {_time(waiting.due_at, now=now)}."
            )
        case outbox.Reading.BACKING_OFF | outbox.Reading.SCHEDULED:
            return f"{_first(what)} is tried again at {_time(waiting.due_at, now=now)}."
        case outbox.Reading.DUE if now - waiting.due_at > LONG_DUE:
            late = spoken(now - waiting.due_at)
            return f"{_first(what)} has been due for {late}, and no worker takes it: look at the workers' heartbeats."
        case outbox.Reading.DUE:
            return f"{_first(what)} is due: the next free worker takes it."
    return f"The message of {what} is {waiting.reading.replace('_', ' ')}: the sweep looks into it within seconds."


def _policy(saga: Saga, known: Definition, step: Step) -> Iterator[str]:
    rows = {row.name: row for row in saga.steps.all()}
    row = rows.get(step.name) or SagaStep(saga=saga, name=step.name)
    if saga.goes_backward:
        yield from _backward(known, step, row)
        yield _left_to_undo(known, step, rows)
        return
    if saga.cancel_requested_at is not None:
        yield "A cancel was asked for: it turns back as soon as this step's outcome is known."
    pivots = {one.name for one in known.steps if one.pivot}
    is_past = any(row.status == SagaStep.Status.DONE for name, row in rows.items() if name in pivots)
    yield from _forward(step, row, at_last="it waits for a person" if is_past else "the saga turns back")
    after = [_named(later) for later in known.steps[known.position(step.name) + 1 :]]
    yield f"After it: {', '.join(after)}." if after else "After it, the saga has ended."


def _forward(step: Step, row: SagaStep, *, at_last: str) -> Iterator[str]:
    if row.status == SagaStep.Status.UNKNOWN:
        yield "Nobody knows what its last call did: the provider is asked before anything else, as often as it takes."
    elif row.attempts:
        yield f"{row.attempts} of {step.retry.attempts} attempts are used; after the last, {at_last}."


def _backward(known: Definition, step: Step, row: SagaStep) -> Iterator[str]:
    yield "It undoes what was done, in reverse order; there is no way forward any more."
    if row.undo_attempts:
        yield f"{row.undo_attempts} of {step.retry.attempts} attempts are used; after the last, it waits for a person."


def _left_to_undo(known: Definition, step: Step, rows: dict[str, SagaStep]) -> str:
    earlier = reversed(known.steps[: known.position(step.name)])
    left = [
        one.name
        for one in earlier
        if one.compensation and one.name in rows and rows[one.name].status == SagaStep.Status.DONE
        and not rows[one.name].undo_status
    ]  # fmt: skip
    return f"After it, to be undone: {', '.join(left)}." if left else "After it, everything is undone."


def _named(step: Step) -> str:
    return f"{step.name} (the pivot: no way back after it)" if step.pivot else step.name


def _first(text: str) -> str:
    """A step's name keeps its case; a sentence begins with a capital."""
    return f"{text[0].upper()}{text[1:]}" if " " in text else text


def _time(moment: datetime, *, now: datetime) -> str:
    """Its date too when that is another day."""
    form = "%H:%M:%S UTC" if moment.date() == now.date() else "%Y-%m-%d %H:%M UTC"
    return f"{moment:{form}} (in {spoken(moment - now)})" if moment > now else f"{moment:{form}}"
