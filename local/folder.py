"""Where local data lives: `ORDERS_LOCAL_DIR`, by default `.local/` in the project.

Guarantees that a folder in use by one running command is not used by a second (`Folder.hold`), by a lock that ends with
the process. Does not guarantee that the folder survives: `make reset` forgets it.
"""

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local.errors import NoRoom, NotWritable

PROJECT_DIR = Path(__file__).resolve().parent.parent
# A fresh Postgres cluster takes 40 MB and its first segments of log 64 MB more.
FREE_BYTES_NEEDED = 300 * 1024 * 1024


def local_dir() -> Path:
    """The folder of `make up`; tests use folders inside it."""
    return Path(os.environ.get("ORDERS_LOCAL_DIR") or PROJECT_DIR / ".local").resolve()


@dataclass(frozen=True)
class Folder:
    """One folder with data of local servers; at most one command at a time holds it."""

    path: Path

    def make(self) -> None:
        """Raises NotWritable or NoRoom, each a sentence for the person at the keyboard."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / ".writable").write_text("")
        except OSError as error:
            raise self._not_writable(error) from None
        free = shutil.disk_usage(self.path).free
        if free < FREE_BYTES_NEEDED:
            raise NoRoom(
                f"The disk that holds {self.path} has {free // 2**20} MB left and the local servers need "
                f"{FREE_BYTES_NEEDED // 2**20} MB: make room, or set ORDERS_LOCAL_DIR to another disk."
            )

    def hold(self) -> IO[str] | None:
        """The lock while the returned file stays open; None when another command holds it. Raises NotWritable."""
        try:
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise self._not_writable(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return None
        return lock

    def _not_writable(self, error: OSError) -> NotWritable:
        return NotWritable(
            f"Cannot write to {self.path} ({error.strerror}): set ORDERS_LOCAL_DIR to a folder of yours."
        )

    def read_json(self, name: str) -> dict[str, Any]:
        """What `write_json` remembered; empty when there is nothing readable."""
        try:
            remembered = json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return {}
        return remembered if isinstance(remembered, dict) else {}

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Replaces the file in one step, readable by its owner only: it may hold tokens."""
        self.write_private(name, json.dumps(value, indent=2) + "\n")

    def write_private(self, name: str, text: str) -> None:
        draft = self.path / f".{name}.draft"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(self.path / name)
