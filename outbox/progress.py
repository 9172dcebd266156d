"""How far long work has come: one line on a terminal, drawn anew a few times a second, and gone when the work ends.

Guarantee: nothing is written to what is no terminal, nor to standard output, which is for the result.
Not guaranteed: that the time left is right; it is the rate so far.
"""

import shutil
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TextIO

DRAWN_EVERY_SECONDS = 0.2
BAR_CHARACTERS = 24
ERASE = "\r\x1b[K"


@dataclass
class Progress:
    """`with Progress("messages", total=…) as progress: progress.add(500)`. Without a total it is a count, no bar."""

    what: str
    total: int | None = None
    is_silent: bool = False
    out: TextIO = field(default_factory=lambda: sys.stderr)
    done: int = 0
    _began: float = field(default_factory=time.monotonic)
    _drawn_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.erase()

    def erase(self) -> None:
        """Takes the line away, so that a result can stand in its place."""
        if self._drawn_at is not None:
            self.out.write(ERASE)
            self.out.flush()

    def add(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count
        now = time.monotonic()
        was_drawn = self._drawn_at is not None and now - self._drawn_at < DRAWN_EVERY_SECONDS
        if self.is_silent or was_drawn or not self.out.isatty():
            return
        self._drawn_at = now
        width = shutil.get_terminal_size().columns - 1
        self.out.write(ERASE + self.line(seconds=now - self._began)[:width])
        self.out.flush()

    def line(self, *, seconds: float) -> str:
        """What stands there after so many seconds."""
        rate = self.done / seconds if seconds > 0 else 0.0
        if not self.total:
            return f"{self.done:,} {self.what}, {rate:,.0f}/s"
        share = min(self.done / self.total, 1.0)
        bar = "#" * int(share * BAR_CHARACTERS)
        left = f", {(self.total - self.done) / rate:,.0f} s left" if rate and self.done < self.total else ""
        return f"[{bar:-<{BAR_CHARACTERS}}] {share:4.0%}  {self.done:,} of {self.total:,} {self.what}{left}"
