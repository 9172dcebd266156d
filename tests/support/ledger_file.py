"""A destination outside: a file in which each message is one line, written and flushed one by one.

Guarantee: a line that was written stays, whatever becomes of the process. Messages may come twice (at least once); the
reader tells them by their ids.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from outbox.envelope import Message, to_wire
from outbox.exceptions import MessageRejected


class LedgerFile:
    def __init__(self, *, path: str) -> None:
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)

    def send(self, messages: Sequence[Message]) -> list[MessageRejected | None]:
        for message in messages:
            self.write(message)
        return [None] * len(messages)

    def write(self, message: Message) -> None:
        line = {"message_id": str(message.message_id), "order_id": str(message.aggregate_id), **to_wire(message)}
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """What has been received so far, in order."""
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)
