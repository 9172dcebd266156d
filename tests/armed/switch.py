"""What is to fire, and that it has: the point, the fault and the mark, from the environment or from a file.

Guarantee: a mark is made by one process only and is on disk before the fault fires, so a fault fires once over all
processes and restarts.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Armed:
    """`point:fault`, the file that says that it has fired, and the one without which it does not fire yet."""

    point: str
    fault: str
    mark: Path
    after: Path | None = None

    @property
    def is_ready(self) -> bool:
        return not self.mark.exists() and (self.after is None or self.after.exists())

    def take(self, *, encloses: int) -> bool:
        """Makes the mark; False when somebody made it before. `encloses`: how many calls will say when they end."""
        try:
            file = os.open(self.mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(file, "w") as mark:
            process = os.environ.get("PROCESS_NAME", "")
            json.dump({"pid": os.getpid(), "process": process, "encloses": encloses}, mark)
            mark.flush()
            os.fsync(mark.fileno())
        return True

    @property
    def go(self) -> Path:
        """The test makes it when the world is ready for the process to go on."""
        return self.mark.with_name(f"{self.mark.name}.go")

    @property
    def over(self) -> Path:
        """The process makes it when what was frozen has come to its end."""
        return self.mark.with_name(f"{self.mark.name}.over")

    def line(self) -> str:
        """As a switch holds it."""
        return f"{self.point}:{self.fault} {self.mark} {self.after or ''}".strip()


def read() -> list[Armed]:
    """ARMED_POINT with ARMED_MARK; else what stands in the file ARMED_SWITCH, which a test may change as it likes."""
    if text := os.environ.get("ARMED_POINT"):
        return parse(f"{text} {os.environ['ARMED_MARK']}")
    try:
        return parse(Path(os.environ["ARMED_SWITCH"]).read_text())
    except (KeyError, FileNotFoundError):
        return []


def parse(text: str) -> list[Armed]:
    """A line `point:fault mark`, or `point:fault mark after`, for each; an empty text arms nothing."""
    return [_parse_line(line) for line in text.splitlines() if line.strip()]


def _parse_line(line: str) -> Armed:
    what, mark, *after = line.split()
    point, _, fault = what.partition(":")
    return Armed(point, fault, Path(mark), Path(after[0]) if after else None)
