"""A saga as a graph: its steps from top to bottom, each with its compensation beside it, laid out for a template's SVG.

Forward goes down the left side, backward up the right one. Geometry and words only; it reads nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .selectors import NOT_YET, Run, StepReading

NODE_WIDTH, NODE_HEIGHT = 178, 52
LEFT_X, RIGHT_X = 12, 222
# From one step to the next, and what it takes beside the nodes.
STRIDE, MARGIN = 80, 12
WIDTH: Final = RIGHT_X + NODE_WIDTH + MARGIN
NAME_MAX_CHARACTERS: Final = 22


@dataclass(frozen=True, kw_only=True)
class Node:
    """A box: what it is called, how it went, and whether the saga is here now."""

    x: int
    y: int
    name: str
    title: str
    said: str
    tone: str
    is_current: bool = False
    is_pivot: bool = False

    @property
    def middle(self) -> int:
        return self.x + NODE_WIDTH // 2

    @property
    def bottom(self) -> int:
        return self.y + NODE_HEIGHT


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """From one box to another; `is_taken`: the saga went this way."""

    x1: int
    y1: int
    x2: int
    y2: int
    is_taken: bool


@dataclass(frozen=True, kw_only=True)
class Graph:
    height: int
    nodes: Sequence[Node]
    arrows: Sequence[Arrow]
    # Below the pivot there is no way back: where that line is drawn, if the definition is known.
    no_way_back_y: int | None
    width: int = WIDTH
    node_width: int = NODE_WIDTH
    node_height: int = NODE_HEIGHT


def graph_of(steps: Sequence[StepReading], *, backward: bool) -> Graph:
    """The graph of these steps; `backward`: the saga compensates, so a current step is its compensation's."""
    actions = [_action(step, place, backward=backward) for place, step in enumerate(steps)]
    undos = {
        place: _undo(step, place, backward=backward)
        for place, step in enumerate(steps)
        if step.is_undoable and (backward or not step.is_pivot)
    }
    pivots = [node for node in actions if node.is_pivot]
    return Graph(
        height=max(0, MARGIN * 2 + STRIDE * len(steps) - (STRIDE - NODE_HEIGHT)),
        nodes=[*actions, *undos.values()],
        arrows=[*_forward(steps, actions), *_turns(steps, actions, undos), *_backward(steps, undos)],
        no_way_back_y=pivots[0].bottom + 1 if pivots and pivots[0] is not actions[-1] else None,
    )


def _action(step: StepReading, place: int, *, backward: bool) -> Node:
    return _node(
        step, step.action, (LEFT_X, place), name=step.name, is_current=step.is_current and not backward,
        is_pivot=step.is_pivot,
    )  # fmt: skip


def _undo(step: StepReading, place: int, *, backward: bool) -> Node:
    run = step.undo or Run(status=NOT_YET)
    return _node(step, run, (RIGHT_X, place), name=f"undo {step.name}", is_current=step.is_current and backward)


def _node(
    step: StepReading, run: Run, at: tuple[int, int], *, name: str, is_current: bool, is_pivot: bool = False
) -> Node:
    short = name if len(name) <= NAME_MAX_CHARACTERS else f"{name[: NAME_MAX_CHARACTERS - 1]}…"
    return Node(
        x=at[0],
        y=MARGIN + at[1] * STRIDE,
        name=short,
        title=f"{name}: {_said(run, step.max_attempts)}{f'. {run.error}' if run.error else ''}",
        said=_said(run, step.max_attempts),
        tone="none" if run.status == NOT_YET else run.tone,
        is_current=is_current,
        is_pivot=is_pivot,
    )


def _said(run: Run, max_attempts: int | None) -> str:
    status = run.said
    if not run.attempts or (run.attempts == 1 and run.status == "done"):
        return status if not run.took else f"{status}, {run.took}"
    of = f" of {max_attempts}" if max_attempts and run.finished_at is None else ""
    return f"{status}, {run.attempts}{of} attempt{'s' if run.attempts > 1 or of else ''}"


def _forward(steps: Sequence[StepReading], actions: Sequence[Node]) -> list[Arrow]:
    return [
        Arrow(x1=here.middle, y1=here.bottom, x2=there.middle, y2=there.y, is_taken=step.action.status != NOT_YET)
        for here, there, step in zip(actions, actions[1:], steps[1:], strict=False)
    ]


def _turns(steps: Sequence[StepReading], actions: Sequence[Node], undos: dict[int, Node]) -> list[Arrow]:
    """From each step to its own compensation."""
    middle = NODE_HEIGHT // 2
    return [
        Arrow(
            x1=LEFT_X + NODE_WIDTH,
            y1=actions[place].y + middle,
            x2=RIGHT_X,
            y2=undo.y + middle,
            is_taken=steps[place].undo is not None,
        )
        for place, undo in undos.items()
    ]


def _backward(steps: Sequence[StepReading], undos: dict[int, Node]) -> list[Arrow]:
    """Up the right side, from a compensation to that of the step before."""
    places = sorted(undos)
    return [
        Arrow(
            x1=undos[below].middle,
            y1=undos[below].y,
            x2=undos[above].middle,
            y2=undos[above].bottom,
            is_taken=steps[above].undo is not None and steps[below].undo is not None,
        )
        for above, below in pairwise(places)
    ]
