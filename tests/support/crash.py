"""Crashes between two durable acts: whatever was committed stays, whatever was not is gone, nobody cleans up.

In one process a crash is an exception that no engine code catches; it undoes the open transaction as a killed process
would, and leaves claims to the clock. Where the death of a
process is the point, a real one is killed (tests.support.child).
"""

from collections.abc import Callable
from typing import Any


class Crash(BaseException):
    """Not an Exception: the engine's own nets let it through."""


def crash_after(function: Callable[..., Any], *, times: int = 1) -> Callable[..., Any]:
    """The function, with the process dying right after it the first `times` times."""
    left = [times]

    def run(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if left[0]:
            left[0] -= 1
            raise Crash
        return result

    return run


def crash_before(function: Callable[..., Any], *, times: int = 1) -> Callable[..., Any]:
    """The function, with the process dying right before it the first `times` times."""
    left = [times]

    def run(*args: Any, **kwargs: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise Crash
        return function(*args, **kwargs)

    return run
