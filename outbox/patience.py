"""Questions to servers that may not answer: asked beside, and waited for only so long.

Guarantee: `within` returns or raises in that time, whatever the other side does, names that nobody resolves included.
Not guaranteed: that the question itself ends then; its thread goes on until its own bounds end it.
"""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What `ask` answers or raises; TimeoutError when that takes longer."""
    answers: queue.SimpleQueue[tuple[Answer | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:
            answers.put((None, error))

    threading.Thread(target=run, name="outbox-question", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # without an error it is the answer, which may be None itself
