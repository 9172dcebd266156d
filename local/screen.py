"""What `make up` says while it works: each step with the time since the start."""

import sys
import time
from dataclasses import dataclass, field


@dataclass
class Screen:
    """Lines for a person; nothing reads them back."""

    started: float = field(default_factory=time.monotonic)

    def step(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self.started:5.1f} s] {text}")

    def say(self, text: str = "") -> None:
        print(text, flush=True)

    def complain(self, text: str) -> None:
        print(f"\n{text}", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """What a log or an error says, for the middle of a sentence: line ends, also written-out ones, are spaces."""
    return " ".join(text.replace("\\n", " ").replace("\\t", " ").split())[:300]
