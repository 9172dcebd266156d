"""Writes each message as one JSON line to a stream: for development, and to see what a broker would get.

Not guaranteed: anything after the line is written.
"""

import json
import sys
from collections.abc import Sequence
from typing import TextIO

from outbox.envelope import Message, to_wire
from outbox.exceptions import DestinationUnavailable, MessageRejected


class ConsoleTransport:
    """`stream` defaults to standard output."""

    def __init__(self, *, stream: TextIO | None = None) -> None:
        self._stream = stream

    def send(self, messages: Sequence[Message]) -> list[MessageRejected | None]:
        stream = self._stream or sys.stdout
        lines = []
        answers: list[MessageRejected | None] = []
        for message in messages:
            try:
                lines.append(json.dumps(to_wire(message)) + "\n")
                answers.append(None)
            except (TypeError, ValueError) as error:
                answers.append(MessageRejected(str(error)))
        try:
            stream.write("".join(lines))
            stream.flush()
        except (OSError, ValueError) as error:
            raise DestinationUnavailable(str(error)) from error
        return answers

    def close(self) -> None:
        """Nothing to let go of: the stream is the process's own."""
