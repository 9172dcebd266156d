"""What a drill shows while it runs: one refreshed line on a terminal, a plain line now and then elsewhere."""

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

TERMINAL_EVERY_SECONDS = 0.5
PLAIN_EVERY_SECONDS = 10.0
ERASE = "\r\x1b[K"


@dataclass
class Progress:
    """Writes to standard error when standard output is for a program (`--json`)."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _began: float = field(default_factory=time.monotonic)
    _shown_at: float = -PLAIN_EVERY_SECONDS
    _has_line: bool = False

    def step(self, text: str) -> None:
        """A line that stays."""
        self._erase()
        print(f"[{self._seconds:5.1f} s] {text}", file=self.out, flush=True)

    def say(self, text: str) -> None:
        self._erase()
        print(text, file=self.out, flush=True)

    @property
    def is_due(self) -> bool:
        pause = TERMINAL_EVERY_SECONDS if self.out.isatty() else PLAIN_EVERY_SECONDS
        return self._seconds - self._shown_at >= pause

    def show(self, text: str) -> None:
        """Replaces the line before, on a terminal."""
        self._shown_at = self._seconds
        if not self.out.isatty():
            self.step(text)
            return
        line = f"[{self._seconds:5.1f} s] {text}"
        self.out.write(ERASE + line[: shutil.get_terminal_size().columns - 1])
        self.out.flush()
        self._has_line = True

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _erase(self) -> None:
        if self._has_line:
            self.out.write(ERASE)
            self._has_line = False
