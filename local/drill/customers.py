"""The customers' process as the drill sees it: started with the schedule's clock, watched through its log."""

import sys
from dataclasses import dataclass
from pathlib import Path

from local.drill.accounts import Accounts
from local.drill.options import Options
from local.errors import LocalError
from local.folder import PROJECT_DIR, Folder
from local.program import Program
from local.run_file import CREDENTIALS_FILE


@dataclass
class Customers:
    """One crowd after another over one log (`local.drill.crowd`)."""

    options: Options
    folder: Folder
    port: int
    seconds: float
    accounts: Accounts
    program: Program | None = None

    def come(self) -> None:
        storm = [] if self.options.storm is None else ["--storm", *map(str, self.options.storm)]
        self._start("--clock", str(self._clock), *storm)

    def come_again(self) -> None:
        """All of them once more, at once, with the same keys and bodies."""
        self._start("--again")

    @property
    def are_there(self) -> bool:
        return self.program is not None and self.program.is_running

    def insist_on_log(self) -> None:
        """Raises LocalError when their process broke down: then its log proves nothing."""
        self.accounts.read()
        if self.program is None or self.program.process is None or self.program.process.returncode:
            log = self.program.log if self.program else "missing"
            raise LocalError(f"The customers' process ended in an error; its log is {log}.")

    def tell_time(self, seconds: float) -> None:
        """In one step, so that a customer never reads half of it."""
        draft = self._clock.with_suffix(".draft")
        draft.write_text(f"{seconds:.2f}")
        draft.replace(self._clock)

    @property
    def _clock(self) -> Path:
        return self.folder.path / "clock"

    def _start(self, *more: str) -> None:
        values = {
            "--port": self.port,
            "--seed": self.options.seed,
            "--orders": self.options.orders,
            "--seconds": f"{self.seconds:g}",
            "--log": self.accounts.path,
            "--credentials": self.folder.path / CREDENTIALS_FILE,
        }
        words = [str(word) for pair in values.items() for word in pair]
        self.program = Program(
            name="crowd",
            command=[sys.executable, "-m", "local.drill.crowd", *words, *more],
            log=self.folder.path / "logs" / "crowd.log",
            directory=PROJECT_DIR,
        )
        self.program.start()
