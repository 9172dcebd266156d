"""Where a crash point is: before or after a named function of the service, in processes of one kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Passage:
    """One call of the function: its arguments, and its result once it has one."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None


Concern = Callable[[Passage], bool]


@dataclass(frozen=True, kw_only=True)
class Seam:
    """`function` is `module:attribute`, looked up where it is called: `orders.services:publish`."""

    process: str
    function: str
    after: bool = False
    nth: int = 1
    # Only calls about this; all of them when None.
    concerns: Concern | None = None

    @property
    def place(self) -> str:
        """As the page writes it."""
        times = "" if self.nth == 1 else f", call {self.nth}"
        return f"{'after' if self.after else 'before'} {self.function}{times}"


def owner_of(function: str) -> tuple[Any, str]:
    """The module or class that holds the function, and its name there. Raises ImportError, AttributeError."""
    module, _, path = function.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    if not callable(getattr(owner, name)):
        raise AttributeError(f"{function} cannot be called")
    return owner, name


def destination(name: str) -> Concern:
    """Calls that handle messages of this destination: claimed, finished, answered or published next; not empty ones."""
    return lambda passage: not _is_empty(passage.result) and name in _named([*passage.args, passage.result], depth=4)


def asks(method: str, path: str) -> Concern:
    """Requests to a provider, as its client sends them."""
    return lambda passage: any(
        getattr(one, "method", "") == method and path in getattr(one, "url", "") for one in passage.args
    )


def _is_empty(result: Any) -> bool:
    return isinstance(result, list | dict | set) and not result


def _named(value: Any, *, depth: int) -> set[str]:
    """Every destination that a value names, as text, message, command, destination or collection of them."""
    if depth == 0 or value is None:
        return set()
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return set().union(*(_named(one, depth=depth - 1) for one in list(value)[:50]))
    found: set[str] = set()
    for name in ("destination", "message", "name"):
        found |= _named(getattr(value, name, None), depth=depth - 1)
    return found
