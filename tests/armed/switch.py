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
    """`point:fault`, and the file that says that it has fired."""

    point: str
    fault: str
    mark: Path

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
        return self.mark.with_suffix(".go")

    @property
    def over(self) -> Path:
        """The process makes it when what was frozen has come to its end."""
        return self.mark.with_suffix(".over")


def read() -> Armed | None:
    """ARMED_POINT with ARMED_MARK; else what stands in the file ARMED_SWITCH, which a test may change as it likes."""
    if text := os.environ.get("ARMED_POINT"):
        return parse(f"{text} {os.environ['ARMED_MARK']}")
    try:
        return parse(Path(os.environ["ARMED_SWITCH"]).read_text())
    except (KeyError, FileNotFoundError):
        return None


def parse(text: str) -> Armed | None:
    """`point:fault mark`; an empty text arms nothing."""
    what, _, mark = text.strip().partition(" ")
    point, _, fault = what.partition(":")
    return Armed(point, fault, Path(mark)) if point and fault and mark else None
